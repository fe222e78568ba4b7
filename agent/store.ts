import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdir, open, readdir, rename, stat, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { atMost, BackupFailure, inALine } from "./failure";
import type { LogicalContents, Manifest, ManifestFile } from "./manifest";
import type { Kept } from "./retention";
import type { StoredKind } from "./schedule";
import { summaryOf, type Summary } from "./summary";

/** A backup in the store. */
export interface Stored extends Kept {
  readonly folder: string;
  /** Without tables and sequences; see {@link readContents}. */
  readonly manifest: Summary;
}

/** A run that writes. */
export interface Begun {
  readonly id: string;
  readonly folder: string;
  /** As the id says it. */
  readonly startedAt: Date;
}

/** A folder without a manifest that can be read: never a backup. */
export interface Broken {
  readonly id: string;
  readonly why: string;
}

interface Known {
  /** Of the file: another one, and whatever was done to it, has another. */
  readonly state: string;
  readonly manifest: Summary;
}

const unfinished = ".partial";
const manifestName = "manifest.json";
const pinName = "pinned";
const harmedName = "harmed";

/** The backups: a folder each, named by kind and time; what is not finished has another name. */
export class Store {
  readonly root: string;
  /** By file, what was read last. An owner may make manifests of megabytes, and the agent looks at all of them every few seconds. */
  private known: ReadonlyMap<string, Known> = new Map();

  constructor(store: string) {
    this.root = join(store, "backups");
  }

  /** Removes what a killed run has left. */
  async prepare(): Promise<readonly string[]> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    const left = (await readdir(this.root)).filter((name) => name.endsWith(unfinished));
    for (const name of left) rmSync(join(this.root, name), { recursive: true });
    return left;
  }

  /** The folder a run writes into. Its name has seconds: a second run in one has the next. */
  async begin(kind: StoredKind, asked: Date): Promise<Begun> {
    for (let startedAt = asked; ; startedAt = new Date(startedAt.getTime() + 1000)) {
      const id = `${startedAt.toISOString().replaceAll(/[-:]|\.\d+/g, "")}-${kind}`;
      const folder = join(this.root, id);
      if (existsSync(folder) || existsSync(folder + unfinished)) continue;
      await mkdir(folder + unfinished, { mode: 0o700 });
      return { id, folder: folder + unfinished, startedAt };
    }
  }

  /** Everything is on the disk before the name says so. */
  async finish(folder: string, manifest: Manifest): Promise<void> {
    await writeFile(join(folder, manifestName), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flag: "wx" });
    for (const name of await readdir(folder)) await sync(join(folder, name));
    await sync(folder);
    await rename(folder, folder.slice(0, -unfinished.length));
    await sync(this.root);
  }

  abandon(folder: string): void {
    rmSync(folder, { recursive: true, force: true });
  }

  /** Every finished backup whose files are there in their size, oldest first, and what only looks like one. */
  list(): { readonly backups: readonly Stored[]; readonly broken: readonly Broken[] } {
    const { backups, broken } = this.readable();
    const flawed = backups.flatMap((backup) => {
      const why = flawOf(backup);
      return why === undefined ? [] : [{ id: backup.id, why }];
    });
    const harmed = new Set(flawed.map(({ id }) => id));
    return { backups: backups.filter(({ id }) => !harmed.has(id)), broken: [...broken, ...flawed] };
  }

  /** The same by manifest alone: one that was harmed too. */
  readable(): { readonly backups: readonly Stored[]; readonly broken: readonly Broken[] } {
    const backups: Stored[] = [];
    const broken: Broken[] = [];
    const known = new Map<string, Known>();
    const names = existsSync(this.root) ? readdirSync(this.root).filter((name) => !name.endsWith(unfinished)) : [];
    for (const name of names.sort()) {
      const folder = join(this.root, name);
      try {
        const file = join(folder, manifestName);
        const { ino, size, ctimeMs } = statSync(file);
        const state = [ino, size, ctimeMs].join();
        const before = this.known.get(file);
        const manifest = before?.state === state ? before.manifest : summaryOf(readManifest(file));
        known.set(file, { state, manifest });
        if (manifest.id !== name) throw new Error("its manifest is another's");
        const { id, kind, classes, startedAt, logical } = manifest;
        const pinned = existsSync(join(folder, pinName));
        const services = logical?.services;
        backups.push({ id, kind, classes, startedAt: new Date(startedAt), pinned, services, folder, manifest });
      } catch (error) {
        broken.push({ id: name, why: atMost(inALine(error)) });
      }
    }
    this.known = known;
    return { backups, broken };
  }

  /** Writes down what somebody has found of it; it counts for nothing until nothing is found any more. */
  mark({ folder }: Stored, flaws: readonly string[]): void {
    const file = join(folder, harmedName);
    if (flaws.length > 0) writeFileSync(file, `${flaws.join("; ")}\n`, { mode: 0o600 });
    else rmSync(file, { force: true });
  }

  pin({ folder }: Pick<Stored, "folder">, pinned: boolean): void {
    if (pinned) writeFileSync(join(folder, pinName), "", { mode: 0o600 });
    else rmSync(join(folder, pinName), { force: true });
  }

  /** Under another name first: half a backup never looks like one. */
  async remove({ folder }: Stored): Promise<void> {
    const going = folder + unfinished;
    await rename(folder, going);
    rmSync(going, { recursive: true });
  }

  /** What a run has written so far, what it has unpacked left out. */
  unfinishedBytes(): number {
    try {
      const folders = readdirSync(this.root).filter((name) => name.endsWith(unfinished));
      const files = folders.flatMap((name) =>
        readdirSync(join(this.root, name)).map((file) => join(this.root, name, file)),
      );
      return files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
    } catch {
      return 0; // it was finished, or removed, at this moment
    }
  }

  /** Bytes nobody uses. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.root);
    return bavail * bsize;
  }
}

/** What is known of it without reading it. */
function flawOf({ folder, manifest }: Stored): string | undefined {
  const mark = join(folder, harmedName);
  if (existsSync(mark)) return atMost(readFileSync(mark, "utf8").trim());
  for (const { name, bytes } of manifest.files) {
    const found = statSync(join(folder, name), { throwIfNoEntry: false })?.size;
    if (found !== bytes) return found === undefined ? `${name} is missing` : `${name} has ${found} bytes of ${bytes}`;
  }
  return undefined;
}

/**
 * What a dump has, table by table.
 * @throws BackupFailure where it is none
 */
export function readContents({ id, folder }: Pick<Stored, "id" | "folder">): LogicalContents {
  const { logical } = readManifest(join(folder, manifestName));
  if (logical === undefined) throw new BackupFailure(`${id} is no dump`);
  return logical;
}

function readManifest(file: string): Manifest {
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Omit<Manifest, "format"> & { readonly format: unknown };
  if (manifest.format !== 1) throw new Error(`${manifestName} is of another version`);
  // Sums without a key can be compared with nothing.
  if (manifest.logical !== undefined && !("rowKey" in manifest.logical))
    throw new Error(`${manifestName} is of another version`);
  return { ...manifest, format: 1 };
}

/** What the files of a folder are at this moment. */
export async function filesOf(folder: string): Promise<readonly ManifestFile[]> {
  const names = (await readdir(folder)).filter((name) => ![manifestName, pinName, harmedName].includes(name)).sort();
  return Promise.all(
    names.map(async (name) => {
      const sha256 = await sha256Of(join(folder, name));
      return { name, bytes: (await stat(join(folder, name))).size, sha256 };
    }),
  );
}

async function sha256Of(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash, signal === undefined ? {} : { signal });
  return hash.digest("hex");
}

/**
 * How a backup's files differ from its manifest, in words; empty where they are the same.
 * @param signal ends it, which is an error
 */
export async function differences({ folder, manifest }: Stored, signal?: AbortSignal): Promise<readonly string[]> {
  const flaws: string[] = [];
  for (const { name, bytes, sha256 } of manifest.files) {
    const path = join(folder, name);
    try {
      const found = (await stat(path)).size;
      if (found !== bytes) flaws.push(`${name} has ${found} bytes of ${bytes}`);
      else if ((await sha256Of(path, signal)) !== sha256) flaws.push(`${name} was changed`);
    } catch (error) {
      signal?.throwIfAborted();
      // What cannot be read is told beside the rest.
      flaws.push(existsSync(path) ? `${name}: ${inALine(error)}` : `${name} is missing`);
    }
  }
  return flaws;
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
