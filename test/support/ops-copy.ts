import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { parse, stringify } from "yaml";
import { superuserRole } from "../../components/access/plan-items";
import { tierRole, tiers, type Service } from "../../services/service";
import type { TestCluster } from "./cluster";
import { fakePassword } from "./mocks";

const root = join(__dirname, "..", "..");

/** `npm run ops` on a cluster, from a copy of the program whose stack `dev` is that cluster. */
export interface OpsCopy {
  /** Begins a command in a process group of its own, as a terminal does. */
  start(...args: readonly string[]): RunningOps;
  clean(): void;
}

export interface RunningOps {
  /** What it has printed so far, both streams. */
  output(): string;
  /** Ctrl-C: the whole group gets it. */
  interrupt(): void;
  /** As the kernel does when memory is short. */
  kill(): void;
  /** Its exit status. */
  readonly ended: Promise<number | null>;
}

/** Passwords come from a stack's outputs; this one's are the cluster's, and what answers for the pulumi CLI prints them. */
export function opsCopy(cluster: TestCluster, services: readonly Service[]): OpsCopy {
  const folder = mkdtempSync(join(tmpdir(), "centraldb-ops-"));
  for (const file of ["package.json", "tsconfig.json", "Pulumi.yaml", "services", "components", "agent", "ops"]) {
    cpSync(join(root, file), join(folder, file), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const { settings } = cluster;
  const { namePrefix, image, backupNodeImage, primaryPort, replicaPort, extensions } = settings;
  const own = { namePrefix, image, backupNodeImage, primaryPort, replicaPort, extensions };
  const { config } = parse(readFileSync(join(root, "Pulumi.dev.yaml"), "utf8")) as { config: object };
  const ofCluster = Object.entries(own).map(([key, value]) => [`centraldb:${key}`, value] as const);
  writeFileSync(
    join(folder, "Pulumi.dev.yaml"),
    stringify({ config: { ...config, ...Object.fromEntries(ofCluster) } }),
  );
  const registry = `export const services = ${JSON.stringify(services)};\n`;
  writeFileSync(join(folder, "services", "registry.ts"), registry);

  const { host, port, passwords, authority } = cluster.target("primary");
  const connections = services.map(({ name, code }) => {
    const ofTiers = tiers.map((tier) => {
      const user = tierRole(code, tier);
      return [tier, { user, password: passwords.get(user) }] as const;
    });
    return [name, Object.fromEntries(ofTiers)] as const;
  });
  const outputs = {
    endpoints: { rw: { host: { host, port } }, sslmode: settings.tls === "required" ? "verify-full" : "prefer" },
    connections: Object.fromEntries(connections),
    caCertificate: authority,
    superuserPassword: fakePassword(`${superuserRole}-password`),
  };
  const programs = join(folder, "bin");
  mkdirSync(programs);
  writeFileSync(join(programs, "outputs.json"), JSON.stringify(outputs), { mode: 0o600 });
  writeFileSync(join(programs, "pulumi"), `#!/bin/sh\ncat '${join(programs, "outputs.json")}'\n`);
  chmodSync(join(programs, "pulumi"), 0o755);

  const env = { ...process.env, PATH: [programs, process.env["PATH"]].join(delimiter) };
  const running: ChildProcess[] = [];
  return {
    start: (...args) => {
      const child = spawn(process.execPath, ["--import", "tsx", "ops/main.ts", ...args], {
        ...{ cwd: folder, env, detached: true, stdio: ["ignore", "pipe", "pipe"] },
      });
      running.push(child);
      let text = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
      }
      return {
        output: () => text,
        interrupt: () => process.kill(-(child.pid ?? NaN), "SIGINT"),
        kill: () => process.kill(-(child.pid ?? NaN), "SIGKILL"),
        ended: new Promise((resolve) => child.once("close", resolve)),
      };
    },
    clean: () => {
      for (const child of running) child.kill("SIGKILL");
      rmSync(folder, { recursive: true });
    },
  };
}
