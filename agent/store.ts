import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdir, open, readdir, rename, stat, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { inALine } from "./failure";
import type { Manifest, ManifestFile } from "./manifest";
import type { Kept } from "./retention";
import type { BackupKind } from "./schedule";

/** A backup in the store. */
export interface Stored extends Kept {
  readonly folder: string;
  readonly manifest: Manifest;
}

/** A folder without a manifest that can be read: never a backup. */
export interface Broken {
  readonly id: string;
  readonly why: string;
}

const unfinished = ".partial";
const manifestName = "manifest.json";
const pinName = "pinned";

/** The backups: a folder each, named by kind and time; what is not finished has another name. */
export class Store {
  readonly root: string;

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

  /** The folder a run writes into. */
  async begin(kind: BackupKind, startedAt: Date): Promise<{ readonly id: string; readonly folder: string }> {
    const id = `${startedAt.toISOString().replaceAll(/[-:]|\.\d+/g, "")}-${kind}`;
    const folder = join(this.root, id + unfinished);
    await mkdir(folder, { mode: 0o700 });
    return { id, folder };
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

  /** Every finished backup, oldest first, and what only looks like one. */
  list(): { readonly backups: readonly Stored[]; readonly broken: readonly Broken[] } {
    const backups: Stored[] = [];
    const broken: Broken[] = [];
    const names = existsSync(this.root) ? readdirSync(this.root).filter((name) => !name.endsWith(unfinished)) : [];
    for (const name of names.sort()) {
      const folder = join(this.root, name);
      try {
        const manifest = readManifest(join(folder, manifestName));
        if (manifest.id !== name) throw new Error("its manifest is another's");
        const { id, kind, classes, startedAt, logical } = manifest;
        const pinned = existsSync(join(folder, pinName));
        const services = logical?.services;
        backups.push({ id, kind, classes, startedAt: new Date(startedAt), pinned, services, folder, manifest });
      } catch (error) {
        broken.push({ id: name, why: inALine(error) });
      }
    }
    return { backups, broken };
  }

  pin({ folder }: Stored, pinned: boolean): void {
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
    const folders = readdirSync(this.root).filter((name) => name.endsWith(unfinished));
    const files = folders.flatMap((name) =>
      readdirSync(join(this.root, name)).map((file) => join(this.root, name, file)),
    );
    return files.reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
  }

  /** Bytes nobody uses. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.root);
    return bavail * bsize;
  }
}

function readManifest(file: string): Manifest {
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Omit<Manifest, "format"> & { readonly format: unknown };
  if (manifest.format !== 1) throw new Error(`${manifestName} is of another version`);
  return { ...manifest, format: 1 };
}

/** What the files of a folder are at this moment. */
export async function filesOf(folder: string): Promise<readonly ManifestFile[]> {
  const names = (await readdir(folder)).filter((name) => name !== manifestName && name !== pinName).sort();
  return Promise.all(
    names.map(async (name) => {
      const hash = createHash("sha256");
      await pipeline(createReadStream(join(folder, name)), hash);
      return { name, bytes: (await stat(join(folder, name))).size, sha256: hash.digest("hex") };
    }),
  );
}

/** How a backup's files differ from its manifest, in words; empty where they are the same. */
export async function differences({ folder, manifest }: Stored): Promise<readonly string[]> {
  const found = new Map((await filesOf(folder)).map((file) => [file.name, file]));
  return manifest.files.flatMap(({ name, bytes, sha256 }) => {
    const file = found.get(name);
    if (file === undefined) return [`${name} is missing`];
    if (file.bytes !== bytes) return [`${name} has ${file.bytes} bytes of ${bytes}`];
    return file.sha256 === sha256 ? [] : [`${name} was changed`];
  });
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
