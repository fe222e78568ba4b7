import { escapeLiteral, type Client } from "pg";
import { identifier } from "../../components/access/describe";
import type { Plan } from "../../components/access/plan-items";
import { renderPlan } from "../../components/access/sql";
import { database as live } from "../../components/settings-rules";
import type { ResolvedService } from "../../services/service";
import { OperatorError } from "../operator-error";
import { answers, exchange, putBack, restored, rolesOf, setAside, setAsideOf, shutOut } from "./aside";
import { auditRestored, verdict } from "./audit";
import { planNow } from "./plan-now";
import { asSuperuser, type Platform } from "./platform";
import { checkFile, compare, describeContents } from "./restore";
import { refuseDifferences, stamp, type Steps } from "./steps";
import { transfer } from "./transfer";
import type { Wanted } from "./wanted";

/** How many sessions a service has. */
export async function sessionsOfService(platform: Platform, { code }: ResolvedService): Promise<number> {
  const { rows } = await asSuperuser(platform, live, (superuser) =>
    superuser.query<{ sessions: number }>(
      "SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE usename = ANY ($1)",
      [rolesOf(code)],
    ),
  );
  return rows[0]?.sessions ?? 0;
}

/**
 * Restores one service in the place of what it has. Its roles are kept out meanwhile; what it had is kept in a schema of another name,
 * and put back where the restore fails. Where it was killed before, what the service had then is put back first.
 * @param options.undo whether to say how it is undone
 * @returns the name under which it is kept
 */
export async function restoreInPlace(
  platform: Platform,
  wanted: Wanted,
  service: ResolvedService,
  steps: Steps,
  { undo = true }: { readonly undo?: boolean } = {},
): Promise<string> {
  const { plan } = platform;
  const { code } = service;
  await checkFile(platform, wanted, steps);
  await bringBack(platform, service, steps);
  const kept = `${code}_before_${stamp(new Date())}`;
  try {
    await steps.run(`keep ${code} out, and what it has as ${kept}`, async () => {
      const ended = await asSuperuser(platform, live, (superuser) => shutOut(superuser, code));
      await asSuperuser(platform, live, async (superuser) => {
        await setAside(superuser, plan, code, kept);
        await superuser.query(renderPlan(closed(planNow(platform), service), new Map()));
      });
      return [`${ended} sessions were ended`, undefined];
    });
    await steps.run(`restore ${code}`, async () => {
      await transfer(platform, { backup: wanted.backup, service: code, database: live });
      await asSuperuser(platform, live, (superuser) =>
        superuser.query(renderPlan(closed(planNow(platform), service), new Map())),
      );
      return ["as its owner", undefined];
    });
    await steps.run("compare it with the backup's manifest", () => {
      refuseDifferences(code, compare(platform, wanted, live));
      return Promise.resolve([describeContents(wanted), undefined]);
    });
  } catch (error) {
    await giveBack(platform, service, steps);
    throw error;
  }
  await open(platform, service, steps, [restored(kept)]);
  if (undo) tellUndo(platform, kept, steps);
  return kept;
}

/**
 * Puts back what a service had before it was restored; what it has now is kept in its turn, but where that is half of a backup, of a
 * restore that was killed.
 */
export async function swapSchemas(
  platform: Platform,
  service: ResolvedService,
  incoming: string,
  steps: Steps,
): Promise<void> {
  const { plan } = platform;
  const { code } = service;
  const was = await bringBack(platform, service, steps);
  if (was === incoming) return open(platform, service, steps);
  const kept = `${code}_before_${stamp(new Date())}`;
  try {
    await steps.run(`keep ${code} out, and what it has as ${kept}`, async () => {
      const ended = await asSuperuser(platform, live, async (superuser) => {
        await requireSchema(superuser, code, incoming);
        return shutOut(superuser, code);
      });
      await asSuperuser(platform, live, (superuser) => exchange(superuser, plan, code, kept, incoming));
      return [`${ended} sessions were ended`, undefined];
    });
  } catch (error) {
    // All of it or nothing was renamed.
    await open(platform, service, steps).catch(tell(steps));
    throw error;
  }
  await open(platform, service, steps);
  tellUndo(platform, kept, steps);
}

/** The service a kept schema is of, by its name: `gt_before_20261127t101500`. */
export function serviceOfKept({ services }: Plan, schema: string): ResolvedService | undefined {
  return services.find(({ code }) => new RegExp(`^${code}_before_\\d{8}t\\d{6}$`).test(schema));
}

/** The plan, and nobody of the service is let in. */
function closed(plan: Plan, { name }: ResolvedService): Plan {
  const roles = plan.roles.map((role) => (role.of?.service === name ? { ...role, connectionLimit: 0 } : role));
  return { ...plan, roles };
}

/**
 * Where a service was set aside, it gets back what it had, and is not let in yet.
 * @returns the name under which it was kept; undefined where nothing was
 */
async function bringBack(platform: Platform, { code }: ResolvedService, steps: Steps): Promise<string | undefined> {
  const kept = await setAsideOf(platform, code);
  if (kept === undefined) return undefined;
  await steps.run(`put back what ${code} had`, async () => {
    const left = await putBack(platform, code, kept);
    const drop = `npm run ops -- restore drop ${left ?? ""} --stack ${platform.stack.name}`;
    return [left === undefined ? "it is there" : `it is there; what was restored is still kept: ${drop}`, undefined];
  });
  return kept;
}

/** Whatever fails: the service has what it had, and is let in again. While it has half of a backup it is kept out. */
async function giveBack(platform: Platform, service: ResolvedService, steps: Steps): Promise<void> {
  try {
    await answers(platform);
    await bringBack(platform, service, steps);
  } catch (error) {
    tell(steps)(error);
    steps.say(
      `${service.code} is kept out: the same command again, or the swap that npm run ops -- status --stack ${platform.stack.name} ` +
        "names, puts back what it had",
    );
    return;
  }
  await open(platform, service, steps).catch(tell(steps));
}

const tell = (steps: Steps) => (error: unknown) => {
  steps.say(error instanceof Error ? error.message : String(error));
};

async function requireSchema(superuser: Client, code: string, schema: string): Promise<void> {
  const { rows } = await superuser.query<{ name: string }>(
    `SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname::text, ${escapeLiteral(`${code}_before_`)}) ORDER BY 1`,
  );
  if (rows.some(({ name }) => name === schema)) return;
  throw new OperatorError(
    `${schema} is no schema of ${live}; kept of ${code} are ${rows.map(({ name }) => name).join(", ") || "none"}`,
  );
}

/** Lets the service in again, in the same transaction as `more`. */
function open(
  platform: Platform,
  { code }: ResolvedService,
  steps: Steps,
  more: readonly string[] = [],
): Promise<void> {
  const { logins } = platform;
  return steps.run(`let ${code} in, and ask the audit`, () =>
    asSuperuser(platform, live, async (superuser) => {
      const plan = planNow(platform);
      // By itself first: whatever keeps the plan from being applied must not keep the service out.
      const roles = plan.roles.filter(({ name }) => rolesOf(code).includes(name));
      const limits = roles.map(
        ({ name, connectionLimit }) => `ALTER ROLE ${identifier(name)} CONNECTION LIMIT ${connectionLimit}`,
      );
      await superuser.query([...more, ...limits].join("; "));
      await superuser.query(renderPlan(plan, new Map()));
      return [verdict(await auditRestored(plan, superuser, logins), steps), undefined];
    }),
  );
}

function tellUndo({ stack }: Platform, kept: string, steps: Steps): void {
  steps.say(`to undo it: npm run ops -- restore swap ${kept} --stack ${stack.name}`);
  steps.say(`when nobody needs it any more: npm run ops -- restore drop ${kept} --stack ${stack.name}`);
}
