/**
 * The names of schemas in which restores keep what a service had, and what could not be restored, and of such as are being dropped: a
 * regular expression of PostgreSQL's. Only the superuser makes schemas.
 */
export const keptSchema = "_(before|failed|dropped)_\\d{8}t\\d{6}$";

/**
 * The comment of the schema in which a service's own is kept while the service is restored in its place. Only the superuser can write
 * it there. As long as it stands, what bears the service's name is half of a backup: no dump has it, status names it, and the next
 * restore puts back what is kept before anything else.
 */
export const setAsideComment = "centraldb: set aside, to be restored in its place";

/** A service's code, and the schema in which what it had is kept. */
export interface SetAside {
  readonly code: string;
  readonly schema: string;
}

/** Its rows are of SetAside. */
export const setAsideQuery = `
  SELECT regexp_replace(nspname, '_before_\\d{8}t\\d{6}$', '') AS code, nspname::text AS schema
    FROM pg_namespace
   WHERE obj_description(oid, 'pg_namespace') = '${setAsideComment}' AND nspowner = 'postgres'::regrole
   ORDER BY 2`;
