import { setTimeout as sleep } from "node:timers/promises";
import { agentFile } from "../../../components/backup/agent-file";
import { answerTimeoutMs, docker } from "../../../components/cluster/docker-cli";
import { findVolumes } from "../../../components/cluster/survey";
import { dockerNames, peerOf } from "../../../components/naming";
import { database } from "../../../components/settings-rules";
import { acceptsConnections, ownNodes } from "../../lifecycle/nodes";
import { OperatorError } from "../../operator-error";
import { auditRestored } from "../audit";
import { asSuperuser, type Platform } from "../platform";
import { secondsSince } from "../steps";
import { containerOf, inVolume, lookInto, peerPlace, type RestorePlace } from "./place";
import { timed } from "./timed";

type Say = (line: string) => void;

/** A copy of the whole primary may take that long. */
const followHours = 12;
const progressMs = 10_000;

/** Both cleanly, the one that is replaced first: it ends when the standby and the archive of WAL have all it wrote. */
export function stopServers(place: RestorePlace, say: Say): void {
  const nodes = ownNodes(place.stack);
  for (const node of [place.node, peerOf(place.node)]) {
    if (nodes[node] === undefined) continue;
    const container = containerOf({ ...place, node });
    timed(say, `${container} stopped`, () => run(place, "stop", container));
  }
}

/**
 * Puts what is restored under the name the node looks for. What is received from now on stands by itself in the archive: on the old
 * timeline's last segment nothing follows. The standby's data are gone after it, or kept where nothing else is.
 */
export function takePlace(place: RestorePlace, keepAs: string): void {
  beginStretch(place);
  inVolume(place, "swap", keepAs);
  const peer = peerPlace(place);
  const { volume } = dockerNames(peer.stack.settings.namePrefix)[peer.node];
  if (findVolumes([volume], peer.stack.dockerHost).length === 0) return;
  const isKept = lookInto(place).folders.includes(keepAs);
  inVolume(peer, "empty", keepAs, ...(isKept ? ["copy"] : []));
}

function beginStretch(place: RestorePlace): void {
  const { volume } = dockerNames(place.stack.settings.namePrefix).backup;
  const options = ["--network", "none", "--user", "postgres", "--volume", `${volume}:/backups`, "--entrypoint", "node"];
  run(place, "run", "--rm", ...options, place.image, agentFile, "begin-stretch");
}

export async function startPrimary(place: RestorePlace, say: Say): Promise<void> {
  const container = containerOf(place);
  const { name } = place.stack;
  if (ownNodes(place.stack)[place.node] === undefined) {
    throw new OperatorError(
      `${container} does not exist: npm run up -- ${name} makes it on these data, then npm run ops -- restore finish --stack ${name}`,
    );
  }
  const begun = performance.now();
  run(place, "start", container);
  await acceptsConnections(place.stack, container);
  say(`${container} accepts connections: ${secondsSince(begun)} s`);
}

/** As who audits from outside: the passwords of the stack are tried. */
export async function auditPrimary(platform: Platform, say: Say): Promise<readonly string[]> {
  const { plan, logins, stack } = platform;
  const begun = performance.now();
  const findings = await asSuperuser(platform, database, (superuser) => auditRestored(plan, superuser, logins));
  for (const finding of findings) say(`  ${finding}`);
  const verdict =
    findings.length === 0
      ? "is what the plan says"
      : `is not what the plan says: ${findings.length} findings, see npm run ops -- audit`;
  say(`stack ${stack.name} ${verdict}: ${secondsSince(begun)} s`);
  return findings;
}

/** The standby copies the new primary when it finds its volume empty. */
export async function followAgain(place: RestorePlace, say: Say): Promise<void> {
  const standby = containerOf(peerPlace(place));
  if (ownNodes(place.stack)[peerOf(place.node)] === undefined) {
    say(`${standby} does not exist: npm run up -- ${place.stack.name} makes it`);
    return;
  }
  const begun = performance.now();
  run(place, "start", standby);
  let said = begun;
  while (!follows(place, standby)) {
    if (performance.now() - begun > followHours * 3_600_000) {
      throw new OperatorError(`${standby} does not follow after ${followHours} h: docker logs --tail 20 ${standby}`);
    }
    await sleep(200);
    if (performance.now() - said < progressMs) continue;
    said = performance.now();
    say(`${standby} copies ${containerOf(place)}: ${secondsSince(begun)} s`);
  }
  say(`${standby} follows: ${secondsSince(begun)} s`);
}

function follows(place: RestorePlace, standby: string): boolean {
  const query = `SELECT count(*) FROM pg_stat_replication WHERE application_name = '${standby}' AND state = 'streaming'`;
  const { stdout } = docker(["exec", containerOf(place), "psql", "-XAtU", "postgres", "-d", "postgres", "-c", query], {
    host: place.stack.dockerHost,
    timeoutMs: answerTimeoutMs,
  });
  return stdout.trim() === "1";
}

function run({ stack }: RestorePlace, ...args: readonly string[]): void {
  const { status, stderr } = docker(args, { host: stack.dockerHost });
  if (status !== 0) throw new OperatorError(`docker ${args.join(" ")}: ${stderr.trim()}`);
}
