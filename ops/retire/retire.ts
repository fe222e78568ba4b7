import { past } from "../../agent/past";
import { findRetired, type Asked } from "../../components/lifecycle/survey-retired";
import { proofFlaws } from "../../components/lifecycle/retired";
import { docker } from "../../components/cluster/docker-cli";
import { dockerNames } from "../../components/naming";
import { agentFile } from "../../components/backup/agent-file";
import { printable } from "../../services/printable";
import type { ResolvedService } from "../../services/service";
import { listBackups } from "../backup/list";
import { OperatorError } from "../operator-error";
import { findNodes } from "../restore/platform";
import { refuseDifferences, type Steps } from "../restore/steps";
import type { Stack } from "../stack-file";
import { bytes, duration } from "../status/format";

const askedOf = ({ settings, dockerHost }: Stack): Asked => ({ settings, dockerHost });

/**
 * Frozen in the registry and on the server, and nothing stands on it. Retired in the registry counts too: with the backup of another
 * stack, before this one has dropped it.
 * @throws OperatorError with what to do first
 */
export function requireRetirable(stack: Stack, service: ResolvedService): void {
  const { name, lifecycle } = service;
  const freeze = `lifecycle: "frozen" in services/registry.ts, npm run up -- ${stack.name}, and then this again`;
  if (lifecycle === "active") {
    throw new OperatorError(`${name} is in use: only a frozen service is retired; first ${freeze}`);
  }
  const found = findRetired(service, findNodes(stack).primary.container, askedOf(stack));
  if (found === undefined) throw new OperatorError("the primary does not answer: npm run ops -- status");
  if (!found.isThere) {
    throw new OperatorError(
      `stack ${stack.name} has nothing of ${name}: ` +
        (lifecycle === "retired" ? "it is dropped, and the line may go" : `npm run up -- ${stack.name} makes it`),
    );
  }
  if (found.begun !== null) {
    throw new OperatorError(
      `a part of ${name} is gone, which ${found.begun} alone has: retired with it in services/registry.ts, npm run up -- ${stack.name} ` +
        `drops the rest, and npm run ops -- unretire ${name} --stack ${stack.name} brings all of it back`,
    );
  }
  refuseDifferences(`${name} on stack ${stack.name}`, found.obstacles);
}

/**
 * Makes a backup, keeps it for ever and has it restored.
 * @returns its id
 * @throws OperatorError where it lacks the service, or is not what it was
 */
export async function proveRetirement(stack: Stack, service: ResolvedService, steps: Steps): Promise<string> {
  const { code, name } = service;
  const known = new Set(listBackups(stack).backups.map(({ id }) => id));
  const backup = await steps.run(`make a backup of ${name} as it is now`, () => {
    agent(stack, "backup", "now", "logical");
    const made = listBackups(stack).backups.findLast(({ id, kind }) => kind === "logical" && !known.has(id));
    if (made?.logical === undefined) throw new OperatorError("no backup was made: docker logs has why");
    const leftOut = made.logical.leftOut.find((one) => one.service === code);
    const its = made.logical.counts[code];
    if (its === undefined) {
      throw new OperatorError(
        `${made.id} has no ${code}: ${printable(leftOut?.why ?? "up has not told the agent of it")}`,
      );
    }
    const size = made.files.reduce((sum, file) => sum + file.bytes, 0);
    return Promise.resolve([
      `${made.id}: ${its.tables} tables of ${code} with ${its.rows} rows; ${bytes(size)} of all`,
      made.id,
    ]);
  });
  await steps.run("keep it for ever", () => {
    agent(stack, "backup", "pin", backup);
    return Promise.resolve(["pinned", undefined]);
  });
  await steps.run("restore it in a drill, with the newest physical one", () => {
    // Where it fails its status is 1 too: what it has found of this very backup says which.
    const ran = runAgent(stack, "drill", "drill", "now");
    const list = listBackups(stack);
    const drilled = list.drills.flatMap(({ backups }) => backups).findLast((one) => one.backup === backup);
    if (drilled === undefined) {
      const last = past(list.drills, new Date())
        .at(-1)
        ?.backups.find(({ kind }) => kind === "logical")?.backup;
      throw new OperatorError(
        `the drill has not restored ${backup}, but ${last ?? "none"}: ${lastLine(ran.stderr || ran.stdout)}; once more`,
      );
    }
    refuseDifferences(backup, proofFlaws(service, backup, list));
    return Promise.resolve([
      `restored in ${duration(drilled.seconds ?? 0)}, every row and right of ${code} as it was`,
      undefined,
    ]);
  });
  return backup;
}

/** The literal's fields, as they go into the registry; what other stacks have proven stays. */
export function fieldsOf({ retiredBackups }: ResolvedService, stack: string, backup: string): readonly string[] {
  const all = Object.entries({ ...retiredBackups, [stack]: backup });
  const key = (name: string) => (/^[a-z_]\w*$/i.test(name) ? name : JSON.stringify(name));
  return [
    'lifecycle: "retired",',
    `retiredBackups: { ${all.map(([name, id]) => `${key(name)}: ${JSON.stringify(id)}`).join(", ")} },`,
  ];
}

function runAgent({ settings, dockerHost: host }: Stack, key: "backup" | "drill", ...args: readonly string[]) {
  return docker(["exec", dockerNames(settings.namePrefix)[key].container, "node", agentFile, ...args], { host });
}

/** @throws OperatorError with its last word */
function agent(stack: Stack, key: "backup" | "drill", ...args: readonly string[]): void {
  const { status, stdout, stderr } = runAgent(stack, key, ...args);
  if (status !== 0) throw new OperatorError(`${args.join(" ")}: ${lastLine(stderr || stdout)}`);
}

const lastLine = (text: string) => printable(text.trim().split("\n").at(-1) ?? "");
