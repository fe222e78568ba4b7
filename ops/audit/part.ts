import { DatabaseError, type ClientBase } from "pg";
import type { Finding } from "./finding";

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

/** Out of time, out of memory, a catalog that somebody has locked, a deadlock: an owner can bring each about, and must not hide what else is found. */
const hindrances = ["57014", "53200", "55P03", "40P01"];
const lockTimeout = "55P03";

/**
 * What a part finds. Whole first, which is fast; where that has no answer, each service's schema by itself: what one service has keeps
 * that one from being audited, and no other.
 */
export async function findingsOf(part: Part, superuser: ClientBase, limits: AuditLimits): Promise<readonly Finding[]> {
  const { name, look, services = [] } = part;
  const ask = (schemas: readonly string[], limitMs: number) => orWhyNot(() => look(schemas), superuser, limitMs);
  const whole = await ask([...services, ""], limits.wholeMs);
  if (!(whole instanceof DatabaseError)) return whole;
  if (services.length === 0 || whole.code === lockTimeout) return [notAudited(name, whole)];
  // Where not even this has an answer, the catalogs are large for all, and a schema's silence would not say whose doing that is.
  const others = await ask([""], limits.schemaMs);
  if (others instanceof DatabaseError) return [notAudited(name, others)];
  const found = [others];
  for (const schema of services) {
    const its = await ask([schema], limits.schemaMs);
    found.push(its instanceof DatabaseError ? [notAuditedOf(schema, name, its)] : its);
  }
  return found.flat();
}

async function orWhyNot(
  look: () => Promise<readonly Finding[]>,
  superuser: ClientBase,
  limitMs: number,
): Promise<readonly Finding[] | DatabaseError> {
  await superuser.query(`SAVEPOINT part; SET LOCAL statement_timeout = ${limitMs}`);
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof DatabaseError) || !hindrances.includes(error.code ?? "")) throw error;
    await superuser.query("ROLLBACK TO SAVEPOINT part");
    return error;
  }
}

const nothing = { kind: "not audited", role: "", expected: "an answer", fix: [] };

function notAudited(name: string, { message }: DatabaseError): Finding {
  return {
    ...{ ...nothing, what: `the ${name}`, found: message },
    byHand:
      "pg_locks says who holds a catalog, npm run ops -- status which schema has too many objects and how large the catalogs are; then again.",
  };
}

function notAuditedOf(schema: string, name: string, { message }: DatabaseError): Finding {
  return {
    ...{ ...nothing, schema, what: `the ${name} in schema ${schema}`, found: message },
    byHand: `too many objects, or too large: the owner of schema ${schema} drops them; the other schemas are audited.`,
  };
}
