import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { identifier } from "../../components/access/describe";
import { everybody } from "../../components/access/plan-items";
import { renderLogins, renderPlan } from "../../components/access/sql";
import { answerOf } from "../../components/cluster/answers";
import { answerTimeoutMs, docker } from "../../components/cluster/docker-cli";
import { endSessionsScript } from "../../components/cluster/node-script";
import { database as live } from "../../components/settings-rules";
import { printable } from "../../services/printable";
import { uninterrupted } from "../interrupted";
import { OperatorError } from "../operator-error";
import { elsewhere } from "./alone";
import { auditRestored, verdict } from "./audit";
import { originOf, originStatement, takenPlace, takenStatement, type TakenPlace } from "./databases";
import { planNow } from "./plan-now";
import { asSuperuser, findNodes, planBeside, type Platform } from "./platform";
import { endSessions, tellToEnd } from "./sessions";
import { secondsSince, stamp, type Steps } from "./steps";

/** How many sessions a swap ends. */
export async function sessionsOf(platform: Platform, database: string): Promise<number> {
  const { rows } = await asSuperuser(platform, elsewhere, (superuser) =>
    superuser.query<{ sessions: number }>(
      "SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'",
      [database],
    ),
  );
  return rows[0]?.sessions ?? 0;
}

/** What a swap has done that was killed behind its renames; undefined where none of this database was. */
export async function swapOf(platform: Platform, database: string): Promise<TakenPlace | undefined> {
  const taken = await asSuperuser(platform, elsewhere, takenPlace);
  return taken?.was === database ? taken : undefined;
}

/** @throws OperatorError where a database may not take the services' place */
export async function requireWhole(platform: Platform, database: string): Promise<void> {
  const { only, complete } = await asSuperuser(platform, elsewhere, (superuser) => originOf(superuser, database));
  if (!complete) throw new OperatorError(`${database} was not restored to its end, or is not what was dumped`);
  if (only === null) return;
  throw new OperatorError(`${database} has only ${only.join(", ")}: the others would lose everything`);
}

/**
 * Puts a database in the place of the services' own, which keeps another name; URLs stay as they are. Nobody is let into either of
 * them meanwhile. Done again after it was killed, it goes on.
 * @returns the name under which what was the services' own is kept
 */
export async function swapDatabases(platform: Platform, database: string, steps: Steps): Promise<string> {
  const { stack } = platform;
  const done = await swapOf(platform, database);
  const kept = done?.kept ?? `${live}_before_${stamp(new Date())}`;
  if (done === undefined) await exchangeAlone(platform, database, kept, steps);
  steps.say(`${live} is ${database} now; what it was is ${kept}`);
  steps.say(`to undo it: npm run ops -- restore swap ${kept} --stack ${stack.name}`);
  steps.say(`when nobody needs it any more: npm run ops -- restore drop ${kept} --stack ${stack.name}`);
  await endOnStandby(platform, kept, steps);
  const findings: string[] = [];
  await steps.run("apply the plan, and ask the audit", async () => {
    await asSuperuser(platform, live, async (superuser) => {
      const plan = planNow(platform);
      await superuser.query(renderLogins(plan, new Map()));
      await superuser.query(renderPlan(plan, new Map()));
      findings.push(...(await auditRestored(plan, superuser, platform.logins)));
    });
    return [verdict(findings, steps), undefined];
  });
  return kept;
}

/** The part of a swap in which nobody is let in. */
async function exchangeAlone(platform: Platform, database: string, kept: string, steps: Steps): Promise<void> {
  await requireWhole(platform, database);
  await asThePlanSays(platform, database);
  // A person at the keyboard who is in doubt must not leave the services without a database.
  const swapping = () =>
    uninterrupted(
      (line) => steps.say(line),
      async () => {
        const endRoles = () => endProcesses(platform);
        const began = performance.now();
        const ended = await asSuperuser(platform, elsewhere, (superuser) =>
          exchange(superuser, planNow(platform).grants, database, kept, endRoles),
        );
        return [`${ended} sessions were ended; nobody was let in for ${secondsSince(began)} s`, undefined] as const;
      },
    );
  await steps.run(`swap ${live} and ${database}`, swapping);
}

/**
 * Takes away what a database gave when it was kept, before anybody is let into it.
 * @throws OperatorError where somebody keeps a lock it needs
 */
async function asThePlanSays(platform: Platform, database: string): Promise<void> {
  const plan = renderPlan(planBeside(planNow(platform), database), new Map());
  await asSuperuser(platform, elsewhere, async (superuser) => {
    const shut = "SELECT FROM pg_database WHERE datname = $1 AND NOT datallowconn";
    const { rowCount } = await superuser.query(shut, [database]);
    // By a swap that was killed.
    if (rowCount === 1) await againAndAgain(superuser, () => allow(superuser, [database], true));
  });
  await asSuperuser(platform, database, (superuser) => againAndAgain(superuser, () => superuser.query(plan)));
}

/** Whoever has changed the database's row in an open transaction is in nobody's way for long. */
async function againAndAgain(superuser: Client, attempt: () => Promise<unknown>): Promise<void> {
  for (let left = 5; ; left--) {
    try {
      await attempt();
      return;
    } catch (error) {
      await superuser.query("ROLLBACK");
      if (left === 1)
        throw new OperatorError(
          `nothing was swapped: ${printable(error instanceof Error ? error.message : String(error))}`,
        );
    }
  }
}

function allow(superuser: Client, names: readonly string[], allowed: boolean): Promise<unknown> {
  return superuser.query(
    names.map((name) => `ALTER DATABASE ${identifier(name)} ALLOW_CONNECTIONS ${allowed}`).join("; "),
  );
}

async function exchange(
  superuser: Client,
  grants: Platform["plan"]["grants"],
  database: string,
  kept: string,
  endRoles: () => number,
): Promise<number> {
  const both = [live, database];
  let ended = 0;
  // Whoever has changed the database's row in an open transaction, or is being let in, is in nobody's way for long. That all have ended
  // is waited for when nobody is let in any more: others come as fast as they go.
  for (let left = 10; ; left--) {
    ended += endRoles() + (await tellToEnd(superuser, "datname", both));
    try {
      await superuser.query("SET lock_timeout = '1s'");
      await allow(superuser, both, false);
      break;
    } catch (error) {
      if (left === 1) throw error;
    }
  }
  try {
    ended += endRoles() + (await endSessions(superuser, "datname", both));
    await superuser.query("SET lock_timeout = '10s'");
    // What the plan grants on the one goes with the name: whoever waits is let in at once.
    const moved = grants.flatMap(({ on, privileges, to }) => {
      const who = to === everybody ? to : identifier(to);
      const words = (name: string) => `${privileges.join(", ")} ON DATABASE ${identifier(name)}`;
      return on.type === "database" ? [`REVOKE ${words(kept)} FROM ${who}`, `GRANT ${words(live)} TO ${who}`] : [];
    });
    await superuser.query(
      [
        "BEGIN",
        `ALTER DATABASE ${identifier(live)} RENAME TO ${identifier(kept)}`,
        `ALTER DATABASE ${identifier(database)} RENAME TO ${identifier(live)}`,
        originStatement(kept, { is: "before", backup: null, only: null, complete: true }),
        takenStatement({ was: database, kept }),
        ...moved,
        ...[live, kept].map((name) => `ALTER DATABASE ${identifier(name)} ALLOW_CONNECTIONS true`),
        "COMMIT",
      ].join("; "),
    );
    return ended;
  } catch (error) {
    await superuser.query("ROLLBACK");
    await allow(superuser, both, true);
    throw new OperatorError(
      `nothing was swapped: ${printable(error instanceof Error ? error.message : String(error))}`,
    );
  }
}

/** By the titles of their processes, which a login under way has too; one that does not end the rename tells of. */
function endProcesses({ stack, plan }: Platform): number {
  const { primary } = findNodes(stack);
  const roles = plan.roles.filter(({ of }) => of !== null).map(({ name }) => name);
  const input = readFileSync(endSessionsScript, "utf8");
  const script = ["exec", "--interactive", primary.container, "bash", "-s", "--", ...roles];
  return Number(docker(script, { input, host: stack.dockerHost }).stdout.trim());
}

/** Until it has replayed the swap, whoever comes to the standby gets what it was, and has it for as long as the session lasts. */
async function endOnStandby({ stack }: Platform, kept: string, steps: Steps): Promise<void> {
  const { primary, standby } = findNodes(stack);
  const ask = (container: string, query: string) => {
    const answer = answerOf({
      container,
      database: elsewhere,
      query,
      host: stack.dockerHost,
      timeoutMs: answerTimeoutMs,
    });
    return "lines" in answer ? answer.lines.join() : undefined;
  };
  const end = (database: string) =>
    `SELECT count(*) FILTER (WHERE NOT pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '${database}'`;
  const written = ask(primary.container, "SELECT pg_current_wal_lsn()");
  if (standby !== undefined && written !== undefined) {
    for (let look = 1; look <= standbyLooks; look++) {
      const isReplayed = ask(standby.container, `SELECT pg_last_wal_replay_lsn() >= '${written}'`) === "t";
      if (isReplayed && ask(standby.container, end(kept)) === "0") return;
      // Who reads there may be what it waits for.
      if (!isReplayed && look > 3) ask(standby.container, end(live));
      await sleep(1000);
    }
  }
  steps.say(
    `${standby?.container ?? "no standby"} gives no answer, or has not replayed the swap: sessions there may go on reading what it was`,
  );
  process.exitCode = 2;
}

/** Seconds for a standby to replay what it has. */
const standbyLooks = 30;
