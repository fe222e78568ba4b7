/**
 * Forgets what a person's environment tells every PostgreSQL client it starts (PGSSLMODE, PGOPTIONS, PGHOSTADDR, PGSERVICE, …):
 * that is meant for their psql, and would go with a superuser's session or a replica.
 * @param kept names of variables that are meant for this program @default none
 */
export function forgetLibpqVariables(environment: NodeJS.ProcessEnv, kept: readonly string[] = []): void {
  for (const name of Object.keys(environment).filter((name) => name.startsWith("PG") && !kept.includes(name))) {
    Reflect.deleteProperty(environment, name);
  }
}
