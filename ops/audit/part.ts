import { DatabaseError, type ClientBase } from "pg";
import { notAudited, type Finding } from "./finding";
import { TooMuch } from "./rows";

/** How long one statement of the audit may take, in milliseconds. */
export interface AuditLimits {
  /** One that asks for everything. */
  readonly wholeMs: number;
  /** One that asks for a single schema, where the whole had no answer. */
  readonly schemaMs: number;
}

export const auditLimits: AuditLimits = { wholeMs: 60_000, schemaMs: 10_000 };

/** Something the audit looks at. */
export interface Part {
  /** `privileges` */
  readonly name: string;
  /** @param schemas those of services to look into; "" stands for all that is in none of them */
  readonly look: (schemas: readonly string[]) => Promise<readonly Finding[]>;
  /** Schemas of the services, whose objects it reads one by one. @default none: it reads no service's objects */
  readonly services?: readonly string[];
}

/**
 * Why there is no answer: out of time, out of memory, too much to be told, dropped while it was read. An owner can bring each about, and
 * must not hide what else is found.
 */
type Hindrance = DatabaseError | TooMuch;
const isHindrance = (error: unknown): error is Hindrance => error instanceof DatabaseError || error instanceof TooMuch;
const lockTimeout = "55P03";

/**
 * What a part finds. Whole first, which is fast; where that has no answer, each service's schema by itself: what one service has keeps
 * that one from being audited, and no other.
 */
export async function findingsOf(part: Part, superuser: ClientBase, limits: AuditLimits): Promise<readonly Finding[]> {
  const { name, look, services = [] } = part;
  const ask = (schemas: readonly string[], limitMs: number) => orWhyNot(() => look(schemas), superuser, limitMs);
  const whole = await ask([...services, ""], limits.wholeMs);
  if (!isHindrance(whole)) return whole;
  const isLocked = whole instanceof DatabaseError && whole.code === lockTimeout;
  if (services.length === 0 || isLocked) return [nothingKnown(name, whole)];
  // Where not even this has an answer, the catalogs are large for all, and a schema's silence would not say whose doing that is.
  const others = await ask([""], limits.schemaMs);
  if (isHindrance(others)) return [nothingKnown(name, others)];
  const found = [others];
  for (const schema of services) {
    const its = await ask([schema], limits.schemaMs);
    found.push(isHindrance(its) ? [nothingKnownOf(schema, name, its)] : its);
  }
  return found.flat();
}

async function orWhyNot(
  look: () => Promise<readonly Finding[]>,
  superuser: ClientBase,
  limitMs: number,
): Promise<readonly Finding[] | Hindrance> {
  await superuser.query(`SAVEPOINT part; SET LOCAL statement_timeout = ${limitMs}`);
  try {
    return await look();
  } catch (error) {
    if (!isHindrance(error)) throw error;
    // Where the session is gone, that is the error.
    await superuser.query("ROLLBACK TO SAVEPOINT part");
    return error;
  }
}

const nothing = { kind: notAudited, role: "", expected: "an answer", fix: [] };

function nothingKnown(name: string, { message }: Hindrance): Finding {
  return {
    ...{ ...nothing, what: `the ${name}`, found: message },
    byHand:
      "pg_locks says who holds a catalog, npm run ops -- status which schema has too many objects and how large the catalogs are; then again.",
  };
}

function nothingKnownOf(schema: string, name: string, { message }: Hindrance): Finding {
  return {
    ...{ ...nothing, schema, what: `the ${name} in schema ${schema}`, found: message },
    byHand: `too many objects, or too large: the owner of schema ${schema} drops them; the other schemas are audited.`,
  };
}
