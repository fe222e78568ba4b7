import { keyWords } from "./key-words";

const reserved: ReadonlyMap<string, string> = new Map([
  ["pg", "the prefix pg_ is PostgreSQL's own"],
  ["postgres", "PostgreSQL's superuser and maintenance database"],
  ["public", "PostgreSQL's own schema, and the name of everybody in a grant"],
  ["platform", "the schema and the role that own what the platform needs"],
  ["app", "the role that dumps the database"],
  ["repl", "the role of replication"],
  ["appdb", "the database itself"],
]);

/** Why a service's code may not be `code`, or undefined when it may. */
export function reservedReason(code: string): string | undefined {
  return (
    reserved.get(code) ??
    (keyWords.has(code) ? "a key word of PostgreSQL, it would need quoting everywhere" : undefined)
  );
}
