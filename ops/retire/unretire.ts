import { isAhead } from "../../agent/past";
import { identifier } from "../../components/access/describe";
import { database as live } from "../../components/settings-rules";
import { tierRole, tiers, type ResolvedService } from "../../services/service";
import { runAgent } from "../backup/agent";
import { listBackups, type Listed } from "../backup/list";
import { describeViolation } from "../effect-test/attempt";
import { testEffect } from "../effect-test/effect-test";
import { OperatorError } from "../operator-error";
import { restoreInPlace } from "../restore/in-place";
import { asSuperuser, type Platform } from "../restore/platform";
import { refuseDifferences, steps } from "../restore/steps";
import type { Wanted } from "../restore/wanted";
import type { Stack } from "../stack-file";

/** @throws OperatorError where the registry still has it as retired */
export function requireBack({ name: stack }: Stack, { name, lifecycle }: ResolvedService): void {
  if (lifecycle !== "retired") return;
  throw new OperatorError(
    `${name} is retired in services/registry.ts: take lifecycle and retiredBackups out of its literal, npm run up -- ${stack} ` +
      "makes its roles and an empty schema, and then this again",
  );
}

/**
 * The backup a service is brought back from. The newest that has it is a dump of the empty schema by now; it was pinned before. An imported
 * one is taken where it is named; so are all where one is dated in the future: when that was made nobody knows, and it may be the one.
 * @throws OperatorError where there is none
 */
export function chooseKept(stack: Stack, service: ResolvedService, id: string | undefined): Wanted {
  return { backup: keptBackup(listBackups(stack).backups, service, id), services: [service.code], without: [] };
}

/** @param backups oldest first */
export function keptBackup(
  backups: readonly Listed[],
  { name, code }: Pick<ResolvedService, "name" | "code">,
  id: string | undefined,
  now = new Date(),
): Listed {
  const having = backups.filter(({ logical }) => logical?.services.includes(code) === true);
  // What was imported is pinned too, and may be of any time.
  const pinned = having.filter((backup) => backup.pinned && backup.kind === "logical");
  const known = pinned.map((backup) => backup.id).join(", ") || "none";
  const ahead = pinned.find(({ startedAt }) => isAhead(startedAt, now));
  if (id === undefined && ahead !== undefined) {
    throw new OperatorError(
      `${ahead.id} is dated in the future: --backup names the one that is meant; pinned ones that have ${name}: ${known}`,
    );
  }
  const found = id === undefined ? pinned.at(-1) : having.find((backup) => backup.id === id);
  if (found !== undefined) return found;
  throw new OperatorError(
    id === undefined
      ? `no backup with ${name} is pinned; --backup names another (npm run ops -- backup list)`
      : `${id} is no backup with ${name}; pinned ones that have it: ${known}`,
  );
}

/** Restores it into the empty schema, compares it, asks the audit, and has its roles try what they may and may not do. */
export async function bringBack(
  platform: Platform,
  service: ResolvedService,
  wanted: Wanted,
  { unpin }: { readonly unpin: boolean },
  say: (line: string) => void,
): Promise<void> {
  const { stack, plan, logins } = platform;
  const { name, code } = service;
  const progress = steps(unpin ? 8 : 7, say);
  await progress.run(`look whether ${code} is empty`, async () => {
    const tables = await relationsOf(platform, code);
    if (tables === undefined) {
      throw new OperatorError(`stack ${stack.name} has no schema ${code}: npm run up -- ${stack.name} makes it`);
    }
    if (tables > 0) {
      throw new OperatorError(
        `${code} has ${tables} tables already: npm run ops -- restore ${wanted.backup.id} --service ${name} --in-place ` +
          `--stack ${stack.name} puts the backup in their place, and keeps them`,
      );
    }
    return ["it is", undefined];
  });
  const kept = await restoreInPlace(platform, wanted, service, progress, { undo: false });
  await progress.run("let its roles try what they may and may not do", () =>
    asSuperuser(platform, live, async (superuser) => {
      // It was empty.
      await superuser.query(`DROP SCHEMA ${identifier(kept)}`);
      const roles: readonly string[] = tiers.map((tier) => tierRole(code, tier));
      const { attempts, violations } = await testEffect(plan, logins, superuser, roles);
      refuseDifferences(name, violations.map(describeViolation));
      return [`${attempts} attempts came out as the plan says`, undefined];
    }),
  );
  if (unpin) {
    await progress.run("keep the backup no longer than others", () => {
      runAgent(stack, "backup", "unpin", wanted.backup.id);
      return Promise.resolve(["unpinned", undefined]);
    });
  }
  say(`${name} is back as it was in ${wanted.backup.id}; its passwords are new: npm run ops -- connect ${name}`);
}

/** undefined where there is no such schema. */
async function relationsOf(platform: Platform, schema: string): Promise<number | undefined> {
  const { rows } = await asSuperuser(platform, live, (superuser) =>
    superuser.query<{ relations: number }>(
      `SELECT count(c.oid)::int AS relations FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid
        WHERE n.nspname = $1 GROUP BY n.oid`,
      [schema],
    ),
  );
  return rows[0]?.relations;
}
