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

/**
 * What a comment between two statements says. A name may have all of the words in it, and what it is of stands behind it: the last counts.
 * @returns undefined where it is another comment; null where it begins like one and is none: its name has a line break
 */
export function entryOf(comment: string): Entry | null | undefined {
  const [begin] = /^-- (?:Data for )?Name: /.exec(comment) ?? [];
  if (begin === undefined) return undefined;
  // By hand: a regular expression would try all ways in which a name of hostile parts can be read.
  const marks = ["; Type: ", "; Schema: ", "; Owner: "] as const;
  const typeAt = comment.lastIndexOf(marks[0]);
  const schemaAt = comment.indexOf(marks[1], typeAt);
  const ownerAt = comment.indexOf(marks[2], schemaAt);
  if (typeAt < begin.length || schemaAt < 0 || ownerAt < 0) return null;
  const type = comment.slice(typeAt + marks[0].length, schemaAt);
  const behind = comment.slice(ownerAt + marks[2].length);
  const spaceAt = behind.indexOf("; Tablespace: ");
  if (!/^[A-Z ]+$/.test(type)) return null;
  return {
    ...{ name: comment.slice(begin.length, typeAt), type, schema: comment.slice(schemaAt + marks[1].length, ownerAt) },
    owner: spaceAt < 0 ? behind : behind.slice(0, spaceAt),
  };
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
