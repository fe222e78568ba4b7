import { setTimeout as sleep } from "node:timers/promises";
import { Client, DatabaseError, escapeLiteral } from "pg";
import { identifier } from "../../components/access/describe";
import { tooManyConnections, whyRefused } from "../../components/access/login-refusal";
import type { Plan } from "../../components/access/plan-items";
import { scramVerifier } from "../../components/access/scram";
import type { LoginTarget } from "../login-target";
import type { Finding } from "./finding";

const parallel = 8;
/** A session's slot is free only a moment after its end. */
const tries = 20;

/** Whether every role of a service gets in with its password over TCP, and no frozen one does. */
export async function auditLogins(plan: Plan, target: LoginTarget): Promise<readonly Finding[]> {
  const waiting = plan.roles.filter(({ of, name }) => of !== null && target.passwords.has(name));
  const findings = new Map<string, Finding>();
  const worker = async () => {
    for (let role = waiting.shift(); role !== undefined; role = waiting.shift()) {
      const { name } = role;
      const password = target.passwords.get(name) ?? "";
      const found = await logIn(target, name, password);
      const expected = role.login ? "let in" : "not permitted";
      // All its connections in use: somebody else is in by that very password, or it is full of nobody's; not a wrong one.
      if (found === expected || found === allInUse) continue;
      const repairs = found === "the password is another";
      findings.set(name, {
        kind: "login",
        role: name,
        what: "login with its password",
        expected,
        found,
        fix: repairs ? [`ALTER ROLE ${identifier(name)} PASSWORD ${escapeLiteral(scramVerifier(name, password))}`] : [],
        ...(repairs ? {} : { byHand: "its attributes and rights, above, are why; else the server's log" }),
      });
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return plan.roles.flatMap(({ name }) => findings.get(name) ?? []);
}

const allInUse = "all its connections are in use";

async function logIn(target: LoginTarget, user: string, password: string): Promise<string> {
  for (let left = tries; ; left--) {
    const client = new Client({
      host: target.host,
      port: target.port,
      database: target.database,
      user,
      password,
      connectionTimeoutMillis: 10_000,
      ...(target.authority === undefined ? {} : { ssl: { ca: target.authority } }),
    });
    client.on("error", () => undefined); // a broken connection also rejects the login
    try {
      await client.connect();
      return "let in";
    } catch (error) {
      const code = (error instanceof DatabaseError ? error.code : undefined) ?? "";
      if (code === tooManyConnections && left > 1) await sleep(100);
      else return whyRefused(error) === undefined ? allInUse : (answers[code] ?? whyRefused(error) ?? "");
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

const answers: Readonly<Record<string, string>> = {
  "28P01": "the password is another",
  "28000": "not permitted",
  "42501": "no right to connect",
};
