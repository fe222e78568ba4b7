import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Command, Argument } from "commander";
import { Agent } from "./agent";
import { askAgent } from "./ask";
import { printable } from "../services/printable";
import { addContentsCommand } from "./contents";
import { atMost, inALine } from "./failure";
import { backupKinds, type BackupKind } from "./schedule";
import { metricsPort, serve } from "./serve";
import { readCopyState } from "./copy/state";
import { addDrillCommands } from "./drills/commands";
import { briefly, drillFolder, readDrills, readUnderWay } from "./drills/results";
import { addImportCommands } from "./import/commands";
import { addRestoreCommands } from "./restore/commands";
import { addPointCommands } from "./restore/point-commands";
import { places, settingsFile, stateFolder } from "./settings";
import { differences, Store, type Stored } from "./store";
import { flawsOf } from "./proof/wal-flaws";
import { receivedAt, stretchOf, WalArchive, type Stretch } from "./wal-archive";

const write = (text: string) => process.stdout.write(`${text}\n`);
/** Tables are called as their owners like. */
const say = (line: string) => write(atMost(printable(line)));
const program = new Command("agent").description("Makes and proves the backups of a stack.");

program
  .command("serve")
  .description("work until it is told to stop")
  .action(async () => {
    // Dumps have the verifiers of all passwords; pg_dump and rclone would write them for everybody.
    process.umask(0o077);
    const stop = new AbortController();
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
    const agent = new Agent(places, stop.signal, (line) => say(`${new Date().toISOString()} ${line}`));
    const servers = serve(agent, places);
    // What cannot go on must not look healthy: docker starts it again.
    await agent.work().catch((error: unknown) => {
      say(`the agent ends: ${inALine(error)}`);
      process.exit(1);
    });
    for (const server of servers) server.close();
    process.exit();
  });

program
  .command("health")
  .description("exit status 1 where it is not healthy, with the reason")
  .action(async () => {
    const illness = await illnessOf();
    say(illness ?? "ok");
    if (illness !== null) process.exitCode = 1;
  });

program
  .command("now")
  .description("make a backup now, and tell how it goes")
  .addArgument(new Argument("<kind>").choices(backupKinds))
  .action(async (kind: BackupKind) => {
    if (!(await askAgent(places.socket, `/run/${kind}`, say))) process.exitCode = 1;
  });

program
  .command("list")
  .description("every backup, its tables and sequences by number only, and every stretch of WAL, as JSON")
  .action(async () => {
    const store = new Store(places.store);
    const { backups, broken } = store.list();
    const stretches = new WalArchive(places.store).stretches();
    const bases = backups.filter(({ kind }) => kind === "physical");
    const wal = stretches.map((stretch) => ({
      begunAt: stretch.begunAt,
      first: stretch.segments[0]?.name ?? null,
      last: stretch.segments.at(-1)?.name ?? null,
      segments: stretch.segments.length,
      receivedAt: receivedAt(stretch)?.toISOString() ?? null,
      bases: bases.filter((base) => stretchOf(base, stretches) === stretch).map(({ id }) => id),
    }));
    write(
      JSON.stringify({
        backups: backups.map(({ manifest, pinned }) => ({ ...manifest, pinned })),
        broken,
        wal,
        copy: readCopyState(places) ?? null,
        drills: briefly(readDrills(drillFolder)),
        drillSince: readUnderWay(drillFolder)?.since ?? null,
        stateAt: stateAt(),
        settingsAt: statSync(settingsFile(places), { throwIfNoEntry: false })?.mtime.toISOString() ?? null,
        illness: await illnessOf(),
        weekOfWalBytes: weekOfWal(stretches),
        freeBytes: await store.freeBytes(),
      }),
    );
  });

program
  .command("verify")
  .description("look at every byte of the backups and of the WAL again")
  .argument("[id]", "of one backup", "all")
  .action(async (id: string) => {
    const store = new Store(places.store);
    const { backups, broken } = store.readable();
    const chosen = id === "all" ? backups : [find(backups, id)];
    const all = id === "all" ? broken.map((one) => `${one.id}: ${one.why}`) : [];
    // One after the other: the servers are on the same disk.
    for (const backup of chosen) {
      const flaws = await differences(backup).catch((error: unknown) => [inALine(error)]);
      store.mark(backup, flaws);
      all.push(...flaws.map((flaw) => `${backup.id}: ${flaw}`));
    }
    const stretches = id === "all" ? new WalArchive(places.store).stretches() : [];
    for (const stretch of stretches) all.push(...(await flawsOf(stretch)));
    const segments = stretches.reduce((sum, stretch) => sum + stretch.segments.length, 0);
    if (all.length === 0) {
      say(
        `${chosen.length} backups are what they were when they were proven${id === "all" ? `, ${segments} segments of WAL are whole` : ""}`,
      );
    } else all.forEach(say);
    if (all.length > 0) process.exitCode = 1;
  });

addContentsCommand(program, say);

addDrillCommands(program, say);

addRestoreCommands(program);

addPointCommands(program, say);

addImportCommands(program, say);

for (const [name, pinned] of [
  ["pin", true],
  ["unpin", false],
] as const) {
  program
    .command(name)
    .description(pinned ? "keep a backup for ever" : "keep it no longer than others")
    .argument("<id>")
    .action((id: string) => {
      const store = new Store(places.store);
      store.pin(find(store.list().backups, id), pinned);
      say(`${id} is ${pinned ? "kept for ever" : "kept as others are"}`);
    });
}

function weekOfWal(stretches: readonly Stretch[]): number {
  const stats = stretches.flatMap(({ segments }) =>
    segments.flatMap(({ file }) => statSync(file, { throwIfNoEntry: false }) ?? []),
  );
  const young = stats.filter(({ mtimeMs }) => Date.now() - mtimeMs < 7 * 24 * 3600 * 1000);
  return young.reduce((sum, { size }) => sum + size, 0);
}

/** What keeps the agent that serves from its work; null where nothing does. */
async function illnessOf(): Promise<string | null> {
  try {
    const response = await fetch(`http://127.0.0.1:${metricsPort}/healthz`);
    return response.ok ? null : (await response.text()).trim();
  } catch {
    return "the agent does not answer";
  }
}

/** When the stack's state was handed over last. */
function stateAt(): string | null {
  const folder = stateFolder(places);
  const times = existsSync(folder) ? readdirSync(folder).map((name) => statSync(join(folder, name)).mtimeMs) : [];
  return times.length === 0 ? null : new Date(Math.max(...times)).toISOString();
}

function find(backups: readonly Stored[], id: string): Stored {
  const found = backups.find((backup) => backup.id === id);
  if (found !== undefined) return found;
  throw new Error(`no backup ${id}; there are ${backups.map((backup) => backup.id).join(", ") || "none"}`);
}

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${printable(inALine(error))}\n`);
  process.exitCode = 1;
});
