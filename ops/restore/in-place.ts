import { escapeLiteral, type Client } from "pg";
import { identifier } from "../../components/access/describe";
import { endLogins } from "../../components/access/end-sessions";
import { superuserRole, type Plan } from "../../components/access/plan-items";
import { renderPlan } from "../../components/access/sql";
import { database as live } from "../../components/settings-rules";
import { tierRole, tiers, type ResolvedService } from "../../services/service";
import { OperatorError } from "../operator-error";
import { asSuperuser, type Platform } from "./platform";
import { checkFile, compare, describeContents } from "./restore";
import { auditRestored, verdict } from "./audit";
import { endSessions } from "./sessions";
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
 * and put back where the restore fails.
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
  const kept = await setAside(platform, service, undefined, steps);
  try {
    await steps.run(`restore ${code}`, async () => {
      await transfer(platform, { backup: wanted.backup, service: code, database: live });
      await asSuperuser(platform, live, (superuser) => superuser.query(renderPlan(closed(plan, service), new Map())));
      return ["as its owner", undefined];
    });
    await steps.run("compare it with the backup's manifest", () => {
      refuseDifferences(code, compare(platform, wanted, live));
      return Promise.resolve([describeContents(wanted), undefined]);
    });
  } catch (error) {
    // Whatever else fails: the service is let in again.
    const tell = (another: unknown) => {
      steps.say(another instanceof Error ? another.message : String(another));
    };
    await bringBack(platform, service, kept, steps).catch(tell);
    await open(platform, service, steps).catch(tell);
    throw error;
  }
  await open(platform, service, steps);
  if (undo) tellUndo(platform, kept, steps);
  return kept;
}

/** Puts back what a service had before it was restored; what it has now is kept in its turn. */
export async function swapSchemas(
  platform: Platform,
  service: ResolvedService,
  incoming: string,
  steps: Steps,
): Promise<void> {
  const kept = await setAside(platform, service, incoming, steps);
  await open(platform, service, steps);
  tellUndo(platform, kept, steps);
}

/** The service a kept schema is of, by its name: `gt_before_20261127t101500`. */
export function serviceOfKept({ services }: Plan, schema: string): ResolvedService | undefined {
  return services.find(({ code }) => new RegExp(`^${code}_before_\\d{8}t\\d{6}$`).test(schema));
}

const rolesOf = (code: string) => tiers.map((tier) => tierRole(code, tier));

/** The plan, and nobody of the service is let in. */
function closed(plan: Plan, { name }: ResolvedService): Plan {
  const roles = plan.roles.map((role) => (role.of?.service === name ? { ...role, connectionLimit: 0 } : role));
  return { ...plan, roles };
}

/**
 * Keeps a service out, and gives its schema another name; `incoming` takes its place, or an empty one.
 * @returns the name under which it is kept
 */
async function setAside(
  platform: Platform,
  service: ResolvedService,
  incoming: string | undefined,
  steps: Steps,
): Promise<string> {
  const { plan } = platform;
  const { code } = service;
  const kept = `${code}_before_${stamp(new Date())}`;
  await steps
    .run(`keep ${code} out, and what it has as ${kept}`, async () => {
      const ended = await asSuperuser(platform, live, async (superuser) => {
        if (incoming !== undefined) await requireSchema(superuser, code, incoming);
        return shutOut(superuser, code);
      });
      await asSuperuser(platform, live, async (superuser) => {
        const comes = incoming === undefined ? [] : [rename(incoming, code)];
        const aside = [rename(code, kept), ...belongToNobody(plan, code, kept), ...comes];
        await superuser.query(["BEGIN", ...aside, "COMMIT"].join("; "));
        await superuser.query(renderPlan(closed(plan, service), new Map()));
      });
      return [`${ended} sessions were ended`, undefined];
    })
    .catch(async (error: unknown) => {
      const tell = (another: unknown) => {
        steps.say(another instanceof Error ? another.message : String(another));
      };
      await undoAside(platform, code, kept, incoming).catch(tell);
      await open(platform, service, steps).catch(tell);
      throw error;
    });
  return kept;
}

/** Where what a service has bears the other name already, it gets its own back. */
async function undoAside(platform: Platform, code: string, kept: string, incoming: string | undefined): Promise<void> {
  await asSuperuser(platform, live, async (superuser) => {
    const { rowCount } = await superuser.query("SELECT FROM pg_namespace WHERE nspname = $1", [kept]);
    if (rowCount === 0) return;
    const goes = incoming === undefined ? [] : [rename(code, incoming)];
    await superuser.query(["BEGIN", ...goes, rename(kept, code), "COMMIT"].join("; "));
  });
}

/** What was restored so far stands aside first: a lock that somebody has in it keeps it from being dropped, and not from another name. */
async function bringBack(platform: Platform, { code }: ResolvedService, kept: string, steps: Steps): Promise<void> {
  const failed = `${code}_failed_${stamp(new Date())}`;
  const { plan } = platform;
  await steps.run(`put back what ${code} had`, () =>
    asSuperuser(platform, live, async (superuser) => {
      await shutOut(superuser, code);
      await superuser.query(
        ["BEGIN", rename(code, failed), ...belongToNobody(plan, code, failed), rename(kept, code), "COMMIT"].join("; "),
      );
      const drop = `DROP SCHEMA ${identifier(failed)} CASCADE`;
      const isGone = await superuser.query(`SET lock_timeout = '2s'; ${drop}`).catch(() => undefined);
      return [
        isGone === undefined ? `it is there; somebody holds what was restored: ${drop}` : "it is there",
        undefined,
      ];
    }),
  );
}

const rename = (schema: string, name: string) => `ALTER SCHEMA ${identifier(schema)} RENAME TO ${identifier(name)}`;

/** @returns how many sessions were ended */
async function shutOut(superuser: Client, code: string): Promise<number> {
  await superuser.query(
    rolesOf(code)
      .map((role) => `ALTER ROLE ${identifier(role)} CONNECTION LIMIT 0`)
      .join("; "),
  );
  await endLogins(superuser);
  return endSessions(superuser, "usename", rolesOf(code));
}

/** So the guard and the audit take it for no service's schema, and nobody is let in. */
function belongToNobody(plan: Plan, code: string, kept: string): readonly string[] {
  const owner = tierRole(code, "owner");
  const others = plan.roles.map(({ name }) => name).filter((name) => name !== owner);
  const everyone = ["PUBLIC", ...others.map((name) => identifier(name))].join(", ");
  const schema = identifier(kept);
  return [
    `ALTER SCHEMA ${schema} OWNER TO ${superuserRole}`,
    `REVOKE ALL ON SCHEMA ${schema} FROM ${everyone}, ${identifier(owner)} CASCADE`,
    ...["TABLES", "SEQUENCES", "ROUTINES"].map(
      (all) => `REVOKE ALL ON ALL ${all} IN SCHEMA ${schema} FROM ${everyone} CASCADE`,
    ),
    // As PostgreSQL gives it by itself.
    `GRANT EXECUTE ON ALL ROUTINES IN SCHEMA ${schema} TO PUBLIC`,
  ];
}

async function requireSchema(superuser: Client, code: string, schema: string): Promise<void> {
  const { rows } = await superuser.query<{ name: string }>(
    `SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname::text, ${escapeLiteral(`${code}_before_`)}) ORDER BY 1`,
  );
  if (rows.some(({ name }) => name === schema)) return;
  throw new OperatorError(
    `${schema} is no schema of ${live}; kept of ${code} are ${rows.map(({ name }) => name).join(", ") || "none"}`,
  );
}

/** Lets the service in again. */
function open(platform: Platform, { code }: ResolvedService, steps: Steps): Promise<void> {
  const { plan, logins } = platform;
  return steps.run(`let ${code} in, and ask the audit`, () =>
    asSuperuser(platform, live, async (superuser) => {
      // By itself first: whatever keeps the plan from being applied must not keep the service out.
      const roles = plan.roles.filter(({ name }) => rolesOf(code).includes(name));
      const limits = roles.map(
        ({ name, connectionLimit }) => `ALTER ROLE ${identifier(name)} CONNECTION LIMIT ${connectionLimit}`,
      );
      await superuser.query(limits.join("; "));
      await superuser.query(renderPlan(plan, new Map()));
      return [verdict(await auditRestored(plan, superuser, logins), steps), undefined];
    }),
  );
}

function tellUndo({ stack }: Platform, kept: string, steps: Steps): void {
  steps.say(`to undo it: npm run ops -- restore swap ${kept} --stack ${stack.name}`);
  steps.say(`when nobody needs it any more, as superuser: DROP SCHEMA ${kept} CASCADE`);
}
