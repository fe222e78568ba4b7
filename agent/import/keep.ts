import type { Readable } from "node:stream";
import { BackupFailure } from "../failure";
import type { Manifest } from "../manifest";
import { readSettings, type Places } from "../settings";
import type { Store } from "../store";
import { readLoaded } from "./loaded";

/** What a folder takes beside its files. */
const spareBytes = 64 * 1024 ** 2;

/**
 * Takes what was loaded into the store, as a backup that is kept until somebody unpins it.
 * @param name the file's
 * @throws BackupFailure where it breaks off, is not what a load gives, or there is no room
 */
export async function keepLoaded(
  from: Readable,
  name: string,
  { places, store }: { readonly places: Places; readonly store: Store },
): Promise<Manifest> {
  const settings = readSettings(places);
  const { id, folder, startedAt } = await store.begin("imported", new Date());
  try {
    const loaded = await readLoaded(from, folder, settings.services, async ({ files }) => {
      const needed = files.reduce((sum, { bytes }) => sum + bytes, spareBytes);
      const free = await store.freeBytes();
      if (free < needed) throw new BackupFailure(`${free} bytes are free in the store, and it needs ${needed}`);
    });
    const { bytes, sha256, unverified, version, tool, logical, files } = loaded;
    const finishedAt = new Date();
    const manifest: Manifest = {
      ...{
        format: 1,
        id,
        kind: "imported",
        classes: [],
        startedAt: startedAt.toISOString(),
        finishedAt: finishedAt.toISOString(),
      },
      seconds: { tools: (finishedAt.getTime() - startedAt.getTime()) / 1000, proof: 0 },
      server: { host: name, version, systemIdentifier: "", timeline: 0 },
      tool,
      // In nobody's WAL.
      wal: { timeline: 0, start: "0/0", stop: "0/0" },
      files,
      registrySha256: settings.registrySha256,
      accessSha256: settings.accessSha256,
      logical,
      imported: { name, bytes, sha256, unverified },
    };
    // Before it is one: no class keeps it.
    store.pin({ folder }, true);
    await store.finish(folder, manifest);
    return manifest;
  } catch (error) {
    store.abandon(folder);
    throw error;
  }
}
