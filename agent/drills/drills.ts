import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DrillOptions } from "../drill";
import { inALine } from "../failure";
import { readSettings, type Places } from "../settings";
import { Store } from "../store";
import { drillNewest, killedDrill } from "./newest";
import { keepDrill, noteUnderWay, readDrills, readUnderWay } from "./results";
import { isDrillDue, isWell } from "./schedule";

/** How often it is looked whether a drill is due. */
const lookMs = 15_000;
/** A machine that is started anew kills one; what kills the next as well is in what it restores. */
const maxKilled = 2;
/** After one of which not even a result could be kept. */
const pauseMs = 30 * 60_000;

export interface DrillsOptions {
  readonly places: Places;
  /** The drill's volume. */
  readonly folder: string;
  /** Ends a drill that is under way; it leaves no result. */
  readonly signal: AbortSignal;
  /** The log, a line each. */
  readonly say: (line: string) => void;
}

/** What runs in the drill's container: makes the drill that is due, or asked for, one at a time, and keeps what it found. */
export class Drills {
  /** Of the drill that is under way. */
  since: Date | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private pausedUntilMs = 0;

  constructor(private readonly options: DrillsOptions) {}

  /** Works until the signal; resolves when a drill under way has ended. */
  async work(): Promise<void> {
    const { signal, say } = this.options;
    for (const name of this.prepare()) say(`${name} is removed: a drill that was killed left it`);
    let told = "";
    while (!signal.aborted) {
      const why = await this.drillWhereDue().then(
        () => "",
        (error: unknown) => inALine(error),
      );
      if (why !== told && why !== "") say(`no drill: ${why}`);
      told = why;
      await sleep(lookMs, undefined, { signal }).catch(() => undefined);
    }
    await this.last;
  }

  /**
   * Makes a drill, after the one that is under way.
   * @returns whether every backup was what it was
   * @throws Error where it was ended, or cannot be made
   */
  run(say: (line: string) => void): Promise<boolean> {
    const begun = this.since;
    if (begun !== undefined)
      say(`a drill is under way since ${begun.toISOString()}: this one begins when it has ended`);
    const result = this.last.then(() => this.drill(say));
    this.last = result.catch(() => undefined);
    return result;
  }

  /** Empties the scratch folder. A drill that was killed is made again; where that is killed too, it is one that has failed. */
  private prepare(): readonly string[] {
    const { folder, places } = this.options;
    const begun = readUnderWay(folder);
    if (begun !== undefined) {
      const note = { ...begun, killed: begun.killed + 1 };
      const hasFailed = note.killed >= maxKilled;
      if (hasFailed) keepDrill(folder, killedDrill(new Store(places.store).list().backups, note, new Date()));
      noteUnderWay(folder, hasFailed ? undefined : note);
    }
    mkdirSync(scratchOf(folder), { recursive: true, mode: 0o700 });
    const left = readdirSync(scratchOf(folder));
    for (const name of left) rmSync(join(scratchOf(folder), name), { recursive: true });
    return left;
  }

  private async drillWhereDue(): Promise<void> {
    const { places, folder, say } = this.options;
    if (this.since !== undefined || performance.now() < this.pausedUntilMs) return;
    const { timeZone } = readSettings(places);
    const backups = () => new Store(places.store).list().backups;
    if (!isDrillDue(readDrills(folder), backups, new Date(), timeZone)) return;
    await this.run(say).catch(() => {
      this.pausedUntilMs = performance.now() + pauseMs; // why was said
    });
  }

  private async drill(say: (line: string) => void): Promise<boolean> {
    const { places, folder, signal, say: log } = this.options;
    // Whoever asked may be gone when it ends: the log has everything.
    const both = (line: string) => {
      if (say !== log) log(line);
      say(line);
    };
    signal.throwIfAborted();
    this.since = new Date();
    // Where the container is stopped nothing was killed.
    const forget = () => noteUnderWay(folder, undefined);
    signal.addEventListener("abort", forget);
    try {
      noteUnderWay(folder, readUnderWay(folder) ?? { since: this.since.toISOString(), killed: 0 });
      const options: DrillOptions = { places, scratch: scratchOf(folder), signal, say: both };
      const drill = await drillNewest(options);
      keepDrill(folder, drill);
      return isWell(drill);
    } catch (error) {
      both(signal.aborted ? "the drill was ended: the container stops" : inALine(error));
      throw error;
    } finally {
      this.since = undefined;
      signal.removeEventListener("abort", forget);
      forget();
    }
  }
}

const scratchOf = (folder: string) => join(folder, "scratch");
