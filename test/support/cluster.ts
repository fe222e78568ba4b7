import { Client } from "pg";
import { containerKeys, dockerNames, type NodeName, type Names } from "../../components/naming";
import { planAccess } from "../../components/access/plan";
import type { ConfigurationSecrets } from "../../components/cluster/jobs/configure";
import type { Plan } from "../../components/access/plan-items";
import { renderPlan } from "../../components/access/sql";
import { database, type Settings } from "../../components/settings-rules";
import { readStackSettings } from "../../ops/stack-file";
import type { LoginTarget } from "../../ops/login-target";
import type { Service } from "../../services/service";
import { createContainer, removeContainer } from "./containers";
import { fakePassword, runProgram, type Declared, type Program } from "./mocks";
import { plain } from "./plain";
import { run, type Ran } from "./run";
import { freePort } from "./server";
import { waitFor } from "./wait";
import { buildStandInImage, buildStandInNodeImage, standInImage, standInNodeImage } from "./stand-in-image";

/**
 * The containers the program declares, on a real engine and without Pulumi: network, volumes, jobs and nodes are taken
 * from the program itself (under mocks), the plan goes in as SQL. `up` does what the providers would: what has changed
 * is run again or replaced.
 */
export interface TestCluster {
  readonly names: Names;
  readonly settings: Settings;
  readonly plan: Plan;
  /** Brings the cluster to these settings and this registry, by default the first; the failed job's output where one fails. */
  up(changes?: Partial<Settings>, registry?: readonly Service[]): Promise<Ran>;
  /** What `pulumi refresh` does with what is gone: it is made anew by the next `up`. */
  forget(...resources: string[]): void;
  /** `docker exec` in a node's container. */
  exec(node: NodeName, ...command: string[]): Ran;
  /** The single value a query of the superuser on the node's socket gives. */
  ask(node: NodeName, query: string): string;
  /** A login over TCP, as programs on the host do it. */
  /** Encrypted and verified where the stack requires it, unless told otherwise. */
  login(node: NodeName, role: string, password?: string, to?: string, encrypted?: boolean): Promise<Client>;
  target(node: NodeName): LoginTarget;
  logs(node: NodeName): string;
  /** Resolves when the standby has replayed what the primary has written. */
  caughtUp(primary: NodeName): Promise<void>;
  clean(): void;
}

/**
 * Builds the stand-in images and prepares names and ports; nothing runs yet. `withBackup`: the backup's container too; `withDrill`: and
 * the drill's, which takes a core for a while.
 */
export async function prepareCluster(
  services: readonly Service[],
  { withBackup = false, withDrill = false }: { readonly withBackup?: boolean; readonly withDrill?: boolean } = {},
): Promise<TestCluster> {
  buildStandInImage();
  if (withBackup) buildStandInNodeImage();
  const prefix = `cd${process.pid}-${Math.floor(Math.random() * 1e6)}`;
  const port = await freePort();
  const names = dockerNames(prefix);
  let settings: Settings = {
    ...readStackSettings("dev"),
    namePrefix: prefix,
    image: standInImage,
    extensions: ["citext"],
    backupNodeImage: standInNodeImage,
    primaryPort: port,
    replicaPort: port + 1,
  };
  const planOf = (registry: readonly Service[]) => planAccess(registry, { database, extensions: settings.extensions });
  const plan = planOf(services);
  const done = new Map<string, string>();
  let program: Program | undefined;

  const ports = () => ({ primary: settings.primaryPort, replica: settings.replicaPort });
  const exec = (node: NodeName, ...command: string[]) => run("docker", ["exec", names[node].container, ...command]);
  const ask = (node: NodeName, query: string): string => {
    const { status, output } = exec(node, "psql", "-XAtU", "postgres", "-d", database, "-c", query);
    if (status !== 0) throw new Error(output);
    return output.trim();
  };
  const authority = () => {
    const { stdin } = program?.resource("cluster-configuration").inputs ?? {};
    return (JSON.parse(String(plain(stdin))) as ConfigurationSecrets).tls["authority.crt"] ?? "";
  };
  const passwords = (): ReadonlyMap<string, string> =>
    new Map([
      ...["app", "repl"].map((role): [string, string] => [role, fakePassword(`${role}-password`)]),
      ...(program?.resources ?? []).flatMap(({ type, name, inputs }): [string, string][] =>
        type === "postgresql:index/role:Role" ? [[String(inputs["name"]), fakePassword(`${name}-password`)]] : [],
      ),
    ]);
  const login = async (
    node: NodeName,
    role: string,
    password?: string,
    to = database,
    encrypted = settings.tls === "required",
  ) => {
    const known = role === "postgres" ? fakePassword("postgres-password") : passwords().get(role);
    const client = new Client({
      host: "127.0.0.1",
      port: ports()[node],
      user: role,
      password: password ?? known,
      database: to,
      ...(encrypted ? { ssl: { ca: authority() } } : {}),
    });
    client.on("error", () => undefined); // the server's end also rejects the query in progress
    await client.connect();
    return client;
  };

  return {
    names,
    get settings() {
      return settings;
    },
    plan,
    exec,
    ask,
    login,
    target: (node) => ({
      ...{ host: "127.0.0.1", port: ports()[node], database, passwords: passwords() },
      authority: authority(),
    }),
    logs: (node) => run("docker", ["logs", names[node].container]).output,
    up: async (changes = {}, registry = services) => {
      settings = { ...settings, ...changes };
      const image = run("docker", ["image", "inspect", "-f", "{{.Id}}", settings.image]).stdout.trim();
      program = await runProgram(settings, registry, image);
      const verifiers = new Map(
        program.resources.flatMap(({ type, inputs }): [string, string][] =>
          type === "postgresql:index/role:Role" ? [[String(inputs["name"]), String(plain(inputs["password"]))]] : [],
        ),
      );
      const replaced = new Set<string>();
      for (const resource of program.resources) {
        if (!withBackup && resource.name.startsWith("backup-")) continue;
        if (!withDrill && resource.name === "backup-drill-container") continue;
        const ran = bring(resource, done, replaced);
        if (ran.status !== 0) return ran;
        if (resource.name === "foundation-apply") {
          const superuser = await login(settings.primaryNode, "postgres");
          await superuser.query(renderPlan(planOf(registry), verifiers));
          await superuser.end();
        }
      }
      return ok;
    },
    forget: (...resources) => {
      for (const name of resources) done.delete(name);
    },
    caughtUp: async (primary) => {
      const written = ask(primary, "SELECT pg_current_wal_lsn()");
      const standby = primary === "primary" ? "replica" : "primary";
      await waitFor(() => ask(standby, `SELECT pg_last_wal_replay_lsn() >= '${written}'`) === "t");
    },
    clean: () => {
      for (const key of containerKeys) run("docker", ["rm", "-f", "-v", names[key].container]);
      const volumes = [names.configVolume, ...containerKeys.map((key) => names[key].volume)];
      for (const volume of volumes) run("docker", ["volume", "rm", "-f", volume]);
      run("docker", ["network", "rm", names.network]);
      const built = run("docker", ["image", "ls", "--quiet", names.backup.container])
        .stdout.split("\n")
        .filter(Boolean);
      if (built.length > 0) run("docker", ["image", "rm", "--force", ...built]);
    },
  };
}

/** `let in`, or what the primary says to a role that logs in. */
export async function logIn(cluster: TestCluster, role: string): Promise<string> {
  try {
    await (await cluster.login("primary", role)).end();
    return "let in";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What the providers do with one resource; `done` holds the inputs of the last time, by name. */
function bring({ type, name, inputs, ignoreChanges }: Declared, done: Map<string, string>, replaced: Set<string>): Ran {
  const given = Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, plain(value)]));
  const considered = Object.entries(given).filter(([key]) => !ignoreChanges.includes(key));
  const now = JSON.stringify(considered);
  const before = done.get(name);
  const depends = JSON.stringify(given["triggers"] ?? []);
  if (before === now && ![...replaced].some((other) => depends.includes(`${other}-id`))) return ok;
  const ran = bringChanged(type, name, given, before !== undefined);
  // What failed is tried again.
  if (ran.status === 0) done.set(name, now);
  else done.delete(name);
  if (type === "docker:index/container:Container") replaced.add(name);
  return ran;
}

const ok: Ran = { status: 0, stdout: "", output: "" };

function bringChanged(type: string, name: string, given: Record<string, unknown>, again: boolean): Ran {
  switch (type) {
    case "docker:index/network:Network":
      return run("docker", ["network", "create", String(given["name"])]);
    case "docker:index/volume:Volume":
      return run("docker", ["volume", "create", String(given["name"])]);
    case "docker:index/container:Container":
      if (again) removeContainer(given);
      return createContainer(given);
    case "command:local:Command": {
      // Of the platform's SQL over TCP the plan as SQL is the whole; see above.
      if (["foundation-apply", "tiers-apply", "logins-check-run"].includes(name)) return ok;
      const command = again ? (given["update"] ?? given["create"]) : given["create"];
      return run("sh", ["-c", String(command)], {
        env: { ...process.env, ...(given["environment"] as Record<string, string>) },
        input: (given["stdin"] as string | undefined) ?? "",
      });
    }
    default:
      return ok;
  }
}
