import { Argument, type Command } from "commander";
import { inALine } from "../failure";
import { places } from "../settings";
import { Store } from "../store";
import { lastReceived, receivedAt, stretchOf, WalArchive } from "../wal-archive";
import { segmentBytes, segmentNumber } from "../wal-position";
import type { RecoveryTarget, Way } from "./point";
import { recoverTo, runRestored, type Told } from "./recover";

const kinds = ["time", "lsn", "xid", "latest", "kept"] as const;

/** What `npm run ops -- restore` runs in containers of this image. */
export function addPointCommands(program: Command, say: (line: string) => void): void {
  program
    .command("recover")
    .description("restore to a point in time beside a node's data directory, and run it until it is told to stop")
    .argument("<node>", "container name of the node")
    .addArgument(new Argument("<kind>", "of the target; kept: what was the data directory before").choices(kinds))
    .argument("[at]", "the target")
    .action(async (node: string, kind: (typeof kinds)[number], given: string | undefined) => {
      process.umask(0o077);
      const stop = new AbortController();
      for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
      const tell = (told: Told) => process.stdout.write(`${JSON.stringify(told)}\n`);
      const options = { places, signal: stop.signal, say, node };
      const recoverFromStore = async (to: RecoveryTarget) => {
        const { ways, unled } = findWays();
        if (to.kind === "latest" && unled !== undefined) say(`${unled} follows no base backup yet, and is left out`);
        return recoverTo(to, ways, options);
      };
      const target: RecoveryTarget | undefined =
        kind === "kept" ? undefined : kind === "latest" ? { kind } : { kind, at: given ?? "" };
      const { server, shown } = await (target === undefined ? runRestored(options) : recoverFromStore(target)).catch(
        (error: unknown) => {
          tell({ failed: inALine(error) });
          process.exit(1);
        },
      );
      tell(shown);
      const asked = new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
      await Promise.race([server.ended, asked]);
      await server.stop();
      // A server that has ended by itself is no success.
      process.exit(stop.signal.aborted ? 0 : 1);
    });

  program
    .command("begin-stretch")
    .description("let what is received next stand by itself: it does not follow what is there")
    .action(async () => {
      process.umask(0o077);
      const bases = new Store(places.store).readable().backups.filter(({ kind }) => kind === "physical");
      await new WalArchive(places.store).beginApart(bases.map(({ id }) => id));
    });
}

/** Every base backup with WAL after it, oldest first; and which WAL that comes in at this moment is of no use yet. */
function findWays(): { readonly ways: readonly Way[]; readonly unled: string | undefined } {
  const stretches = new WalArchive(places.store).stretches();
  const bases = new Store(places.store).list().backups.filter(({ kind }) => kind === "physical");
  const ways = bases.flatMap((base): readonly Way[] => {
    const { id, folder, manifest } = base;
    const stretch = stretchOf(base, stretches);
    const last = stretch && lastReceived(stretch);
    const received = stretch && receivedAt(stretch);
    if (stretch === undefined || last === undefined || received === undefined) return [];
    return [
      {
        base: id,
        folder,
        from: { time: new Date(manifest.finishedAt), lsn: manifest.wal.stop },
        to: { time: received, segment: last.number },
        stretch: stretch.folder,
        timeline: Math.max(last.timeline, manifest.wal.timeline),
        walBytes: Math.max(0, last.number - segmentNumber(manifest.wal.stop) + 1) * segmentBytes,
      },
    ];
  });
  const current = stretches.at(-1);
  const isLed = current?.first === undefined || ways.some(({ stretch }) => stretch === current.folder);
  return { ways, unled: isLed ? undefined : `WAL of ${current.begunAt.toISOString()} and later` };
}
