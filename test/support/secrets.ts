import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dockerNames, nodeNames } from "../../components/naming";
import { run } from "./run";
import type { TestStack } from "./stack";

/** A secret and what it is. */
export interface Secret {
  readonly what: string;
  readonly text: string;
}

interface ExportedState {
  readonly deployment: {
    readonly resources: readonly {
      readonly urn: string;
      readonly type: string;
      readonly inputs?: Readonly<Record<string, unknown>>;
      readonly outputs?: Readonly<Record<string, unknown>>;
    }[];
  };
}

/** Every secret there is: all generated passwords, their verifiers, every private key, and the state's passphrase. */
export function secretsOf(stack: TestStack): readonly Secret[] {
  const exported = stack.pulumi("stack", "export", "--show-secrets");
  const { resources } = (JSON.parse(exported.stdout) as ExportedState).deployment;
  const passphrase = readFileSync(join(stack.folder, ".pulumi-state", "passphrase"), "utf8").trim();
  return [
    { what: "passphrase", text: passphrase },
    ...resources.flatMap(({ urn, type, inputs, outputs }): Secret[] => {
      const what = urn.split("::").at(-1) ?? urn;
      const secret = (value: unknown): Secret[] =>
        typeof value === "string" ? [{ what, text: JSON.parse(value) as string }] : [];
      switch (type) {
        case "random:index/randomPassword:RandomPassword":
          return secret(plaintext(outputs?.["result"]));
        case "postgresql:index/role:Role":
          return secret(plaintext(inputs?.["password"]));
        case "tls:index/privateKey:PrivateKey":
          // A line of the key itself: however it is quoted, that stays.
          return secret(plaintext(outputs?.["privateKeyPem"])).map(({ text }) => ({
            what,
            text: text.split("\n")[1] ?? "",
          }));
        default:
          return [];
      }
    }),
  ];
}

function plaintext(value: unknown): unknown {
  return (value as { readonly plaintext?: unknown } | undefined)?.plaintext;
}

/** Which secrets stand in a text, and where; never the secrets themselves. */
export function leaks(secrets: readonly Secret[], places: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(places).flatMap(([place, text]) =>
    secrets.filter((secret) => text.includes(secret.text)).map(({ what }) => `${what} in ${place}`),
  );
}

/** Command lines of every process of this machine, containers' too, seen until `ended` settles. */
export async function commandLines(ended: Promise<unknown>): Promise<string> {
  const seen = new Set<string>();
  const over = new AbortController();
  const settled = ended.finally(() => over.abort());
  while (!over.signal.aborted) {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        seen.add(readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " "));
      } catch {
        // it has ended
      }
    }
    await sleep(5);
  }
  await settled;
  return [...seen].join("\n");
}

/** Where a secret could be read by who should not: all of what the engine shows, the servers' logs, and the folder. */
export function readablePlaces(stack: TestStack): Readonly<Record<string, string>> {
  const names = dockerNames(stack.prefix);
  const containers = nodeNames.map((node) => names[node].container);
  const files = readdirSync(stack.folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !(entry.parentPath.endsWith(".pulumi-state") && entry.name === "passphrase"),
  );
  return {
    "docker inspect": run("docker", [
      ...["inspect", ...containers, names.network],
      ...[names.configVolume, names.primary.volume, names.replica.volume],
    ]).stdout,
    ...Object.fromEntries(
      containers.map((container) => [`docker logs ${container}`, run("docker", ["logs", container]).output]),
    ),
    ...Object.fromEntries(
      files.map(({ parentPath, name }) => [
        join(parentPath, name).slice(stack.folder.length),
        readFileSync(join(parentPath, name), "utf8"),
      ]),
    ),
  };
}
