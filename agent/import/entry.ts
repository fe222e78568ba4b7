/** What pg_dump says in front of an object's statements, or its rows. */
export interface Entry {
  readonly name: string;
  /** `TABLE`, `TABLE DATA`, `FK CONSTRAINT`. */
  readonly type: string;
  /** `-` where it is in none. */
  readonly schema: string;
  /** `-` where the file has no owners. */
  readonly owner: string;
}

/** A name may have all of that in it, and what it is of stands behind it: the last counts. */
const header = /^-- (?:Data for )?Name: (.*); Type: ([A-Z ]+); Schema: (.*?); Owner: (.*?)(?:; Tablespace: .*)?$/;

/**
 * What a comment between two statements says.
 * @returns undefined where it is another comment; null where it begins like one and is none: its name has a line break
 */
export function entryOf(comment: string): Entry | null | undefined {
  const [, name, type, schema, owner] = header.exec(comment) ?? [];
  if (name !== undefined && type !== undefined && schema !== undefined && owner !== undefined)
    return { name, type, schema, owner };
  return /^-- (?:Data for )?Name: /.test(comment) ? null : undefined;
}

/** Rights are the plan's, and nothing of a service is published. */
const left: readonly string[] = ["ACL", "DEFAULT ACL", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA"];

/** The service whose owner makes it; undefined where none does. */
export function serviceOf({ schema, type }: Entry, services: readonly string[]): string | undefined {
  return services.includes(schema) && !left.includes(type) ? schema : undefined;
}

/** The role a statement gives rights or an object to, or takes them from. */
export function granteeOf(statement: string): string | undefined {
  const [, quoted, plain] =
    /\s(?:TO|FROM) (?:"((?:[^"]|"")+)"|([\w$]+))(?: WITH GRANT OPTION)?;$/.exec(statement) ?? [];
  return quoted?.replaceAll('""', '"') ?? (plain === "PUBLIC" ? undefined : plain);
}

/** Whether it only says whose an object is: of a service everything is its owner's. */
export function isOfOwner(statement: string): boolean {
  return /^ALTER [A-Z ]+ .* OWNER TO (?:"(?:[^"]|"")+"|[\w$]+);$/s.test(statement);
}
