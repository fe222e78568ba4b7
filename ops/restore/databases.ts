import { escapeLiteral, type ClientBase } from "pg";
import { identifier } from "../../components/access/describe";
import { database as live } from "../../components/settings-rules";
import { OperatorError } from "../operator-error";

/** What a database beside the services' own is, as its comment keeps it. */
export interface Origin {
  /** `restored` of a backup, or what was the services' own `before` another took its place. */
  readonly is: "restored" | "before";
  /** Id of the backup; of one `before` null. */
  readonly backup: string | null;
  /** Codes of the services in it; null: all, and it may take the services' place. */
  readonly only: readonly string[] | null;
  /** Whether it was restored to its end, and is what was dumped. */
  readonly complete: boolean;
}

/** What the services' own database was before it took that place, as its comment keeps it. */
export interface TakenPlace {
  /** Name of the database. */
  readonly was: string;
  /** Name under which the one before it is kept. */
  readonly kept: string;
}

const mark = "centraldb: ";

/** The statement that writes down what a database is. */
export function originStatement(database: string, origin: Origin): string {
  return comment(database, origin);
}

/** The statement that writes down what the services' own database was. */
export function takenStatement(taken: TakenPlace): string {
  return comment(live, taken);
}

function comment(database: string, what: Origin | TakenPlace): string {
  return `COMMENT ON DATABASE ${identifier(database)} IS ${escapeLiteral(mark + JSON.stringify(what))}`;
}

/**
 * What the services' own database was; undefined where it never took another's place.
 * @param superuser in any database
 */
export async function takenPlace(superuser: ClientBase): Promise<TakenPlace | undefined> {
  const { rows } = await superuser.query<{ comment: string | null }>(
    "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1",
    [live],
  );
  const text = rows[0]?.comment ?? "";
  return text.startsWith(mark) ? (JSON.parse(text.slice(mark.length)) as TakenPlace) : undefined;
}

/**
 * What a database is.
 * @param superuser in any database
 * @throws OperatorError where it is not there, or neither restored nor kept by this program; with those that are
 */
export async function originOf(superuser: ClientBase, database: string): Promise<Origin> {
  const { rows } = await superuser.query<{ name: string; comment: string | null }>(
    `SELECT datname AS name, shobj_description(oid, 'pg_database') AS comment FROM pg_database ORDER BY oid`,
  );
  const known = rows.flatMap(({ name, comment }) =>
    comment?.startsWith(mark) === true && name !== live ? [{ name, origin: comment.slice(mark.length) }] : [],
  );
  const found = known.find(({ name }) => name === database);
  if (found !== undefined) return JSON.parse(found.origin) as Origin;
  throw new OperatorError(
    `${database} is no database that was restored or kept: there are ${known.map(({ name }) => name).join(", ") || "none"}`,
  );
}
