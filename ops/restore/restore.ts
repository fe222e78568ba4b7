import type { ServiceCounts } from "../../agent/summary";
import { identifier } from "../../components/access/describe";
import { dumpRole } from "../../components/access/plan-items";
import { renderLogins, renderPlan } from "../../components/access/sql";
import { agentFile } from "../../components/backup/agent-file";
import { docker } from "../../components/cluster/docker-cli";
import { dockerNames } from "../../components/naming";
import { database as live } from "../../components/settings-rules";
import { OperatorError } from "../operator-error";
import { bytes } from "../status/format";
import { auditRestored, verdict } from "./audit";
import { originStatement, type Origin } from "./databases";
import { asSuperuser, findNodes, planBeside, type Platform } from "./platform";
import { refuseDifferences, secondsSince, type Steps } from "./steps";
import { freeKiB, transfer } from "./transfer";
import { isWhole, type Wanted } from "./wanted";

/** The first step of the page's: the file is what it was when it was proven. */
export function checkFile({ stack }: Platform, { backup }: Wanted, steps: Steps): Promise<void> {
  return steps.run(`check ${backup.id}`, () => {
    const { container } = dockerNames(stack.settings.namePrefix).backup;
    const { status, stdout, stderr } = docker(["exec", container, "node", agentFile, "verify", backup.id], {
      host: stack.dockerHost,
    });
    if (status !== 0) throw new OperatorError(`${backup.id} cannot be used: ${(stdout + stderr).trim()}`);
    const size = backup.files.reduce((sum, file) => sum + file.bytes, 0);
    return Promise.resolve([`${backup.files.length} files, ${bytes(size)}, as they were proven`, undefined]);
  });
}

/**
 * Restores into a new database beside the services' own, and compares it. What fails leaves no database, except where it is restored
 * and not what it was: then a person may want to look.
 * @returns the database
 */
export async function restoreBeside(platform: Platform, wanted: Wanted, name: string, steps: Steps): Promise<void> {
  const { plan } = platform;
  const { services, table } = wanted;
  await checkFile(platform, wanted, steps);
  const orDrop = async (error: unknown): Promise<never> => {
    await drop(platform, name);
    throw error;
  };
  await steps.run(`prepare the database ${name}`, async () => {
    const free = await create(platform, name);
    await furnish(platform, name, wanted).catch(orDrop);
    return [`schemas, roles' rights and the guard are there; ${bytes(free)} are free`, undefined];
  });
  await steps
    .run(`restore ${table ?? (isWhole(wanted, plan) ? "every service" : services.join(", "))}`, async () => {
      await restoreEach(platform, wanted, name, steps);
      // What the owners' objects were given by default is the plan's now, and nothing else.
      await asSuperuser(platform, name, (superuser) => superuser.query(renderPlan(planBeside(plan, name), new Map())));
      return ["as their owners; the plan is applied", undefined];
    })
    .catch(orDrop);
  await steps.run("compare it with the backup's manifest, and ask the audit", async () => {
    const differing = await compareBeside(platform, wanted, name).catch(orDrop);
    const findings = await asSuperuser(platform, name, (superuser) =>
      auditRestored(planBeside(plan, name), superuser, undefined),
    );
    if (differing.length > 0) steps.say(`${name} is kept for a look`);
    refuseDifferences(name, differing);
    await asSuperuser(platform, live, (superuser) =>
      superuser.query(originStatement(name, originOfRestored(platform, wanted, true))),
    );
    return [`${describeContents(wanted)}; ${verdict(findings, steps)}`, undefined];
  });
}

/** @throws OperatorError with all that cannot be restored: whoever does it again knows what to leave out */
async function restoreEach(
  platform: Platform,
  { backup, services, table }: Wanted,
  name: string,
  steps: Steps,
): Promise<void> {
  const failed: { readonly code: string; readonly why: string }[] = [];
  for (const code of services) {
    const began = performance.now();
    const what = { backup, service: code, database: name, ...(table === undefined ? {} : { table }) };
    await transfer(platform, what).catch((error: unknown) => {
      if (!(error instanceof OperatorError) || platform.signal?.aborted) throw error;
      failed.push({ code, why: error.message });
    });
    if (services.length > 1) steps.say(`${code} in ${secondsSince(began)} s`);
  }
  if (failed.length === 0) return;
  const codes = failed.map(({ code }) => code).join(" ");
  const others = services.length > failed.length ? `; the others: --without ${codes}` : "";
  throw new OperatorError([...failed.map(({ why }) => why), `nothing is kept${others}`].join("\n"));
}

/** @returns the bytes that were free */
async function create(platform: Platform, name: string): Promise<number> {
  const { primary } = findNodes(platform.stack);
  const room = await asSuperuser(platform, live, (superuser) =>
    superuser.query<{ bytes: number }>("SELECT pg_database_size(current_database())::float8 AS bytes"),
  );
  const [needed, free] = [room.rows[0]?.bytes ?? 0, freeKiB(platform.stack, primary.container) * 1024];
  if (needed > free) {
    throw new OperatorError(
      `${primary.container} has ${bytes(free)} free, and ${live} beside itself may take ${bytes(needed)}: make room first`,
    );
  }
  await asSuperuser(platform, live, (superuser) =>
    superuser.query(`CREATE DATABASE ${identifier(name)} TEMPLATE template0`),
  );
  return free;
}

async function furnish(platform: Platform, name: string, wanted: Wanted): Promise<void> {
  await asSuperuser(platform, live, (superuser) =>
    superuser.query(originStatement(name, originOfRestored(platform, wanted, false))),
  );
  const beside = planBeside(platform.plan, name);
  const ages = await asSuperuser(platform, live, (superuser) =>
    superuser.query<{ role: string; fingerprint: string; since: Date }>("SELECT * FROM platform.password"),
  );
  await asSuperuser(platform, name, async (superuser) => {
    await superuser.query(renderLogins(beside, new Map()));
    await superuser.query(renderPlan(beside, new Map()));
    // Since when a role has its password is no matter of the backup.
    for (const { role, fingerprint, since } of ages.rows) {
      await superuser.query("INSERT INTO platform.password VALUES ($1, $2, $3)", [role, fingerprint, since]);
    }
  });
}

function originOfRestored({ plan }: Platform, wanted: Wanted, complete: boolean): Origin {
  return { is: "restored", backup: wanted.backup.id, only: isWhole(wanted, plan) ? null : wanted.services, complete };
}

/** What was restored by this run, and nothing else. */
async function drop(platform: Platform, name: string): Promise<void> {
  await asSuperuser(platform, live, (superuser) =>
    superuser.query(`DROP DATABASE IF EXISTS ${identifier(name)} WITH (FORCE)`),
  );
}

/** Lets the role that compares into a database beside the services' own, as long as that takes. */
async function compareBeside(platform: Platform, wanted: Wanted, name: string): Promise<readonly string[]> {
  const connect = `CONNECT ON DATABASE ${identifier(name)}`;
  await asSuperuser(platform, name, (superuser) => superuser.query(`GRANT ${connect} TO ${dumpRole}`));
  try {
    return compare(platform, wanted, name);
  } finally {
    await asSuperuser(platform, name, (superuser) => superuser.query(`REVOKE ${connect} FROM ${dumpRole}`));
    // Ctrl-C while it is compared is heard of only now.
    platform.signal?.throwIfAborted();
  }
}

/** How a database differs from a backup. */
export function compare({ stack }: Platform, { backup, services, table }: Wanted, name: string): readonly string[] {
  const { container } = dockerNames(stack.settings.namePrefix).backup;
  const what = [
    "--database",
    name,
    "--services",
    services.join(","),
    ...(table === undefined ? [] : ["--table", table]),
  ];
  const { status, stdout, stderr } = docker(["exec", container, "node", agentFile, "compare", backup.id, ...what], {
    host: stack.dockerHost,
  });
  if (status !== 0) throw new OperatorError(`${name} cannot be compared: ${stderr.trim()}`);
  return JSON.parse(stdout) as readonly string[];
}

/** What a comparison has compared. */
export function describeContents({ backup, services, table }: Wanted): string {
  if (table !== undefined) return `${table} has the rows and values of the backup; indexes and keys are not restored`;
  const sum = (of: keyof ServiceCounts) =>
    services.reduce((all, code) => all + (backup.logical?.counts[code]?.[of] ?? 0), 0);
  return `${sum("tables")} tables with ${sum("rows")} rows, ${sum("sequences")} sequences, rights: as they were`;
}
