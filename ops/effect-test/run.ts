import { setTimeout as sleep } from "node:timers/promises";
import { Client, DatabaseError } from "pg";
import { groupBy } from "../group-by";
import type { LoginTarget } from "../login-target";
import type { Attempt, Outcome, Violation } from "./attempt";

/** Roles that try at the same time; each uses one connection. */
const parallel = 4;

/** More than an honest attempt takes, whose statement_timeout ends it first. */
const answerMs = 75_000;

/**
 * Tries everything as the role concerned and returns what came out otherwise than expected. Every attempt is rolled back. A session
 * that does not answer in `limitMs` milliseconds is given up, and named: a role's own code may catch whatever would end it.
 */
export async function runAttempts(
  target: LoginTarget,
  attempts: readonly Attempt[],
  limitMs = answerMs,
): Promise<readonly Violation[]> {
  const groups = groupBy(attempts, ({ role }) => role);
  // In the attempts' order, whoever is done first.
  const violations = groups.map((): Violation[] => []);
  const waiting = [...groups.entries()];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, ofRole] = next;
      for (const ofDatabase of groupBy(ofRole, ({ database }) => database ?? target.database)) {
        violations[index]?.push(...(await runInOneSession(target, ofDatabase, limitMs)));
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return violations.flat();
}

async function runInOneSession(
  target: LoginTarget,
  attempts: readonly Attempt[],
  limitMs: number,
): Promise<Violation[]> {
  const [first] = attempts;
  if (first === undefined) return [];
  const { client, login } = await logIn(target, first.role, first.database ?? target.database, limitMs);
  if (login.startsWith("error: ")) {
    await client.end();
    const action = `log in to ${first.database ?? target.database}`;
    return [{ role: first.role, action, expected: "an answer", got: login }];
  }
  const violations: Violation[] = [];
  // A role changes its own settings: what counts is what happens without the user tier's default, and the test goes on
  // where somebody has set the timeouts away and locks what it tries.
  const ready =
    login === "allowed"
      ? await outcome(() =>
          client.query(
            `SET default_transaction_read_only = off; SET lock_timeout = '5s'; SET statement_timeout = '60s';
             SET idle_session_timeout = 0`,
          ),
        )
      : login;
  if (ready.startsWith("error: ")) {
    await client.end().catch(() => undefined);
    return [{ role: first.role, action: "stay logged in", expected: "allowed", got: ready }];
  }
  for (const attempt of attempts) {
    // One round trip each: a refused statement leaves its transaction to the ROLLBACK in front of the next one.
    const tried =
      ready === "allowed" ? await outcome(() => client.query(`ROLLBACK; BEGIN; ${attempt.sql}; ROLLBACK`)) : ready;
    // The right is looked at before the lock on what is tried; but a catalog in which names are looked up may be locked before that.
    const got = tried === locked ? (attempt.expected === "allowed" ? "allowed" : waited) : tried;
    if (!isExpected(got, attempt.expected)) {
      violations.push({ role: attempt.role, action: attempt.action, expected: attempt.expected, got });
    }
    if (got === silent) break;
  }
  await client.end();
  return violations;
}

/** Logs in, waiting a little where the role's connections are all taken: a session's slot is free only after its end. */
async function logIn(
  target: LoginTarget,
  role: string,
  database: string,
  limitMs: number,
): Promise<{ client: Client; login: Answer }> {
  for (let tries = 1; ; tries++) {
    const client = new Client({
      host: target.host,
      port: target.port,
      user: role,
      password: target.passwords.get(role),
      database,
      connectionTimeoutMillis: 10_000,
      query_timeout: limitMs,
      ...(target.authority === undefined ? {} : { ssl: { ca: target.authority } }),
    });
    client.on("error", () => undefined); // a broken connection also rejects the query in progress
    const login = await outcome(() => client.connect());
    if (!login.includes("too many connections") || tries === 20) return { client, login };
    await client.end();
    await sleep(100);
  }
}

const locked = "error: locked";
/** Somebody has locked a catalog: nothing is known of the right. */
export const waited = "error: somebody held a lock that it needs; pg_locks says who";

/** The server may still be at it. */
const silent = "error: no answer in time, and nothing more was tried in this session; pg_stat_activity shows it";

/** Somebody dropped it after it was listed, as migrations do. */
export const gone = "error: it does not exist any more";

type Answer = Outcome | `error: ${string}`;

function isExpected(got: Answer, expected: Attempt["expected"]): boolean {
  return expected === "refused" ? ["denied", "refused by the guard", "read-only"].includes(got) : got === expected;
}

/** The outcome, or what else PostgreSQL or the network said: never equal to an expectation. */
async function outcome(attempt: () => Promise<unknown>): Promise<Answer> {
  try {
    await attempt();
    return "allowed";
  } catch (error) {
    // 28000: no line of pg_hba.conf lets the role into that database.
    if (error instanceof DatabaseError && ["42501", "28000"].includes(error.code ?? "")) return "denied";
    if (error instanceof DatabaseError && error.code === "25006") return "read-only";
    if (error instanceof DatabaseError && error.code === "55P03") {
      // Of NOWAIT: the right on what is tried is looked at before its lock.
      return error.message.startsWith("could not obtain lock on relation") ? "allowed" : locked;
    }
    if (error instanceof DatabaseError && error.code === "42602") return "refused by the guard";
    if (error instanceof DatabaseError && ["42P01", "42883", "3F000"].includes(error.code ?? "")) return gone;
    if (error instanceof Error && error.message === "Query read timeout") return silent;
    return `error: ${error instanceof Error ? error.message : String(error)}`;
  }
}
