import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inALine } from "./failure";
import { basesWithWal } from "./retention";
import { runBackup } from "./run";
import { backupKinds, newServices, type BackupKind } from "./schedule";
import { findPrimary } from "./server";
import { readSettings, type Places } from "./settings";
import { keepSecondCopy } from "./copy/second-copy";
import { noteRemoved } from "./copy/state";
import { Store, type Stored } from "./store";
import { stretchOf, WalArchive } from "./wal-archive";
import { receiveWal, type Receiving } from "./wal-receiver";

/** How often the agent looks whether something is due. */
const lookMs = 15_000;
/** What failed is tried again after so long; each further time twice as long, up to the last. */
const retryMs = { first: 5 * 60_000, last: 60 * 60_000 };
/** What was made for a service that is new, and is no last dump, is not made again before. */
const againMs = 60 * 60_000;

export interface Failure {
  readonly why: string;
  readonly at: Date;
  /** The same on a clock that nobody sets. */
  readonly atMs: number;
  readonly times: number;
}

/** What runs in the container: makes what is due, one at a time, receives WAL, and forgets what nobody needs. */
export class Agent {
  readonly store: Store;
  readonly archive: WalArchive;
  /** By kind, of the last run where it failed. */
  readonly failures = new Map<BackupKind, Failure>();
  receiving: Receiving = { since: undefined, why: "it has not begun" };
  /** What is being made. */
  running: { readonly kind: BackupKind; readonly since: Date } | undefined;
  private last: Promise<unknown> = Promise.resolve();
  /** The last dump, and when it was made, on a clock that nobody sets. */
  private dumped: { readonly manifest: Stored["manifest"]; readonly atMs: number } | undefined;

  constructor(
    readonly places: Places,
    private readonly signal: AbortSignal,
    private readonly say: (line: string) => void,
  ) {
    this.store = new Store(places.store);
    this.archive = new WalArchive(places.store);
  }

  /** Works until the signal; resolves then. */
  async work(): Promise<void> {
    const { places, archive, signal, say } = this;
    for (const name of await this.store.prepare()) say(`${name} is removed: a run that was killed left it`);
    // An agent before this one had it beside the backups, which a drill reads.
    rmSync(join(places.store, "rclone.conf"), { force: true });
    await this.settingsAreThere();
    const receiving = receiveWal({
      ...{ places, archive, signal, say },
      onChange: (state) => {
        this.receiving = state;
      },
    });
    const copying = keepSecondCopy({ places, store: this.store, archive, signal, say });
    const tidying = this.keepTidy();
    while (!signal.aborted) {
      for (const kind of backupKinds) {
        if (this.isPaused(kind)) continue;
        await this.run(kind, false, say).catch(() => undefined); // said, and kept in failures
      }
      await sleep(lookMs, undefined, { signal }).catch(() => undefined);
    }
    await Promise.all([receiving, copying, tidying]);
  }

  /**
   * Makes a backup where one is due, or `asked`; after what is being made.
   * @throws BackupFailure
   */
  run(kind: BackupKind, asked: boolean, say: (line: string) => void): Promise<Stored | undefined> {
    const work = async () => {
      const { places, store, signal } = this;
      // Whoever asked may be gone when it ends: the log has everything.
      const both = (line: string) => {
        if (say !== this.say) this.say(line);
        say(line);
      };
      this.running = { kind, since: new Date() };
      try {
        const wanted = asked || (await this.isWanted(kind));
        const made = await runBackup(kind, wanted, { places, store, signal, say: both });
        if (made === undefined) return undefined;
        this.failures.delete(kind);
        if (kind === "logical") this.dumped = { manifest: made.manifest, atMs: performance.now() };
        return made;
      } catch (error) {
        const why = inALine(error);
        const times = (this.failures.get(kind)?.times ?? 0) + 1;
        this.failures.set(kind, { why, at: new Date(), atMs: performance.now(), times });
        both(`${kind} backup failed: ${why}`);
        throw error;
      } finally {
        this.running = undefined;
      }
    };
    const result = this.last.then(work, work);
    this.last = result.catch(() => undefined);
    return result;
  }

  /** `up` brings them when the container runs; what is asked before that would fail, and be tried again minutes later. */
  private async settingsAreThere(): Promise<void> {
    const { places, signal, say } = this;
    for (let told = false; !signal.aborted; told = true) {
      try {
        readSettings(places);
        return;
      } catch (error) {
        if (!told) say(`waiting for settings: ${inALine(error)}`);
        await sleep(500, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  private isPaused(kind: BackupKind): boolean {
    const failure = this.failures.get(kind);
    if (failure === undefined) return false;
    const pause = Math.min(retryMs.first * 2 ** (failure.times - 1), retryMs.last);
    return performance.now() - failure.atMs < pause;
  }

  /** Also where no class is due. */
  private isWanted(kind: BackupKind): Promise<boolean> | boolean {
    return kind === "physical" ? this.wantsBase() : this.wantsDump();
  }

  private wantsDump(): boolean {
    const { services } = readSettings(this.places);
    const { manifest, atMs = -Infinity } = this.dumped ?? {};
    const justMade = performance.now() - atMs < againMs ? manifest?.logical : undefined;
    return newServices(this.store.list().backups, services, new Date(), justMade).length > 0;
  }

  /** The WAL that is received is of no use without a base backup of its own stretch and timeline. */
  private async wantsBase(): Promise<boolean> {
    const stretches = this.archive.stretches();
    const current = stretches.at(-1);
    if (current?.first === undefined) return false;
    const bases = this.store.list().backups.filter((backup) => backup.kind === "physical");
    const own = bases.filter((base) => stretchOf(base, stretches) === current);
    try {
      const primary = await findPrimary(readSettings(this.places), this.places);
      return !own.some(({ manifest }) => manifest.server.timeline === primary.timeline);
    } catch {
      return false; // the run itself says why
    }
  }

  /** Beside what is being made: only what is compressed goes into the second copy. */
  private async keepTidy(): Promise<void> {
    while (!this.signal.aborted) {
      await this.tidy();
      await sleep(lookMs, undefined, { signal: this.signal }).catch(() => undefined);
    }
  }

  private async tidy(): Promise<void> {
    try {
      await this.archive.compress();
      const { retentionDays, services } = readSettings(this.places);
      const bases = basesWithWal(this.store.list().backups, retentionDays, services, new Date());
      const gone = this.archive.prune(bases);
      noteRemoved(
        this.places,
        gone.map((path) => `wal/${path}`),
      );
      const segments = gone.filter((path) => path.endsWith(".gz"));
      if (segments.length > 0)
        this.say(`WAL from ${segments[0] ?? ""} to ${segments.at(-1) ?? ""} is deleted: no backup needs it`);
    } catch (error) {
      this.say(`the archive of WAL cannot be kept in order: ${inALine(error)}`);
    }
  }
}
