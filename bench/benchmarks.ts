import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { projectFolder } from "../ops/stack-file";
import { freePort } from "../test/support/server";
import { prepareStack } from "../test/support/stack";
import { benchAudit } from "./audit";
import { benchBackup, benchBackupWorkload } from "./backup";
import { measurePaired } from "./paired";
import { benchRestore } from "./restore";

/** What `npm run bench -- NAME` can measure. */
export const benchmarks: Readonly<Record<string, (runs: number) => Promise<void>>> = {
  /** `npm start -- --once`, new and with data, against starting Node with tsx alone. */
  start: async (runs) => {
    const folder = mkdtempSync(join(tmpdir(), "centraldb-bench-"));
    execFileSync("chmod", ["755", folder]);
    const port = String(await freePort());
    const tsx = (...args: string[]) =>
      execFileSync(process.execPath, ["--import", "tsx", ...args], { cwd: projectFolder, stdio: "ignore" });
    const sandbox = (...args: string[]) =>
      tsx("ops/sandbox/main.ts", "--once", "--port", port, "--folder", join(folder, "sandbox"), ...args);
    sandbox();
    await measurePaired(
      [
        { name: "node with tsx, nothing else", run: () => void tsx("-e", "") },
        { name: "npm start, second time", run: () => void sandbox() },
        { name: "npm start, new (--reset)", run: () => void sandbox("--reset", "--yes") },
      ],
      runs,
    );
    rmSync(folder, { recursive: true });
  },

  audit: benchAudit,
  backup: benchBackup,
  "backup-workload": benchBackupWorkload,
  restore: benchRestore,

  /** The no-change preview of the twelve services against an empty TypeScript program's, with the same runtime options. */
  preview: async (runs) => {
    const stack = await prepareStack();
    const empty = emptyProgram();
    try {
      const { status, output } = stack.up("--skip-preview");
      if (status !== 0) throw new Error(output);
      empty.preview();
      await measurePaired(
        [
          { name: "empty TypeScript program", run: empty.preview },
          { name: "twelve services, no change", run: () => void stack.pulumi("preview") },
        ],
        runs,
      );
    } finally {
      stack.pulumi("destroy", "--yes", "--skip-preview");
      stack.clean();
      empty.clean();
    }
  },
};

function emptyProgram(): { preview: () => void; clean: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "centraldb-bench-empty-"));
  symlinkSync(join(projectFolder, "node_modules"), join(folder, "node_modules"));
  symlinkSync(join(projectFolder, "tsconfig.json"), join(folder, "tsconfig.json"));
  writeFileSync(join(folder, "package.json"), '{ "name": "empty", "main": "index.ts" }');
  writeFileSync(
    join(folder, "index.ts"),
    'import * as pulumi from "@pulumi/pulumi";\nexport const nothing = pulumi.getStack();\n',
  );
  writeFileSync(
    join(folder, "Pulumi.yaml"),
    'name: empty\nruntime:\n  name: nodejs\n  options:\n    nodeargs: "--stack-trace-limit=1"\n',
  );
  const env = {
    ...process.env,
    PATH: [process.env["PATH"], join(homedir(), ".pulumi", "bin")].join(delimiter),
    PULUMI_BACKEND_URL: `file://${folder}`,
    PULUMI_CONFIG_PASSPHRASE: "bench",
    PULUMI_SKIP_UPDATE_CHECK: "1",
  };
  const pulumi = (...args: string[]) => {
    const { status, stderr } = spawnSync("pulumi", [...args, "--non-interactive"], {
      cwd: folder,
      env,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
  };
  pulumi("stack", "init", "dev");
  return { preview: () => pulumi("preview", "--stack", "dev"), clean: () => rmSync(folder, { recursive: true }) };
}
