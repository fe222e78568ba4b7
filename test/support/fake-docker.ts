import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, vi } from "vitest";

/**
 * Puts a shell script on PATH as `docker`, for the tests of a file.
 * @returns the folder it is in, when they run
 */
export function fakeDocker(script: string): () => string {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "centraldb-docker-"));
    writeFileSync(join(folder, "docker"), script, { mode: 0o755 });
    vi.stubEnv("PATH", [folder, process.env["PATH"]].join(delimiter));
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  return () => folder;
}
