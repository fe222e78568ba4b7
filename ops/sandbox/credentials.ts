import { randomInt } from "node:crypto";
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { connectionOf, type Endpoints } from "../../components/access/endpoints";
import { replicationRole, type Plan } from "../../components/access/plan-items";
import { isGenerated } from "../../components/access/scram";
import { database } from "../../components/settings-rules";
import { OperatorError } from "../operator-error";

/** Passwords by role name; `postgres` is the superuser's. */
export type Passwords = ReadonlyMap<string, string>;

/**
 * The passwords of a credentials file; empty where there is none.
 * @throws OperatorError for a password that was not generated
 */
export function readPasswords(file: string): Passwords {
  if (!existsSync(file)) return new Map();
  const entries = readFileSync(file, "utf8").matchAll(/^([A-Z]+)_PASSWORD=(.*)$/gm);
  return new Map(
    [...entries].map(([, role = "", password = ""]) => {
      if (!isGenerated(password)) {
        throw new OperatorError(
          `${file}: ${role}_PASSWORD: expected a generated one, at least 24 ASCII letters and digits: put it back, ` +
            "or remove the line and npm start makes a new one",
        );
      }
      return [role.toLowerCase(), password];
    }),
  );
}

/** `known`, and a new password for each of `roles` that has none. */
export function completePasswords(known: Passwords, roles: readonly string[]): Passwords {
  return new Map([...known, ...roles.filter((role) => !known.has(role)).map((role) => [role, generate()] as const)]);
}

/** @throws Error for a role nobody made a password for */
export function passwordOf(passwords: Passwords, role: string): string {
  const password = passwords.get(role);
  if (password === undefined) throw new Error(`no password for ${role}`);
  return password;
}

/** Where the two servers listen, on 127.0.0.1. */
export interface SandboxPorts {
  readonly primary: number;
  readonly replica: number;
}

/** The sandbox's endpoints: it has no network of its own. */
export function sandboxEndpoints({ primary, replica }: SandboxPorts): Endpoints {
  const at = (port: number) => ({ host: { host: "127.0.0.1", port }, network: { host: "127.0.0.1", port } });
  return { database, sslmode: "prefer", rw: at(primary), ro: at(replica) };
}

/** The ports of a credentials file; undefined where it has none. */
export function readPorts(file: string): SandboxPorts | undefined {
  if (!existsSync(file)) return undefined;
  const [, primary, replica] = /@127\.0\.0\.1:(\d+),127\.0\.0\.1:(\d+)\//.exec(readFileSync(file, "utf8")) ?? [];
  return primary === undefined ? undefined : { primary: Number(primary), replica: Number(replica) };
}

/** Writes the file in one step, readable by its owner only: for a shell (`. FILE`) and for dotenv alike. */
export function writePasswords(file: string, passwords: Passwords, plan: Plan, ports: SandboxPorts): void {
  const endpoints = sandboxEndpoints(ports);
  const lines = [...passwords].flatMap(([role, password]) => {
    const tier = plan.roles.find(({ name }) => name === role)?.of?.tier;
    const { url, multiHostUrl } = connectionOf(role, tier ?? "app", password, endpoints);
    const name = role.toUpperCase();
    // Role repl replicates and has no database. Quoted where the shell would see a pattern.
    const urls = role === replicationRole ? [] : [`${name}_URL=${url}`, `${name}_MULTIHOST_URL='${multiHostUrl}'`];
    return [`${name}_PASSWORD=${password}`, ...urls];
  });
  const text = ["# Written by npm start. The passwords are kept as long as this file is.", ...lines, ""].join("\n");
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  chmodSync(`${file}.new`, 0o600); // an older file of that name keeps its mode
  renameSync(`${file}.new`, file);
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** 32 letters and digits, 190 bits: nothing in it needs escaping anywhere. */
function generate(): string {
  return Array.from({ length: 32 }, () => alphabet[randomInt(alphabet.length)]).join("");
}
