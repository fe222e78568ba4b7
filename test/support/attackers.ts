import type { Client } from "pg";
import { tierRole, tiers, type Tier } from "../../services/service";
import type { TestServer } from "./server";

/** The three logins of a service that somebody else has taken over. */
export interface Attackers extends Readonly<Record<Tier, Client>> {
  end(): Promise<void>;
}

/** Logs in with all three; what a role may SET away is set away, as whoever means harm would. */
export async function takeOver(server: TestServer, code: string): Promise<Attackers> {
  const logIn = async (tier: Tier) => {
    const session = await server.session(tierRole(code, tier));
    await session.query(
      `SET default_transaction_read_only = off; SET statement_timeout = 0; SET lock_timeout = 0;
       SET idle_in_transaction_session_timeout = 0`,
    );
    return session;
  };
  const [owner, app, user] = [await logIn("owner"), await logIn("app"), await logIn("user")];
  return {
    owner,
    app,
    user,
    end: async () => {
      await Promise.all([owner, app, user].map((session) => session.end()));
    },
  };
}

/** What PostgreSQL answers: its message word for word, `done`, or what the first column says where something is shown. */
export async function answer(session: Client, sql: string): Promise<string> {
  try {
    // Several statements give several results.
    const results: unknown = await session.query({ text: sql, rowMode: "array" });
    const last: unknown = Array.isArray(results) ? results.at(-1) : results;
    const rows = (last as { readonly rows: readonly (readonly unknown[])[] }).rows;
    return rows.length === 0 ? "done" : rows.map(([value]) => String(value)).join(", ");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The answers to owner, app and user; each attempt is rolled back. One answer where all three get the same. */
export async function answers(attackers: Attackers, sql: string): Promise<string | Readonly<Record<Tier, string>>> {
  const got = new Map<Tier, string>();
  for (const tier of tiers) got.set(tier, await inTransaction(attackers[tier], sql));
  const [owner = "", app = "", user = ""] = got.values();
  return owner === app && app === user ? owner : { owner, app, user };
}

/** The control: the same statement by somebody who may, rolled back. */
export async function inTransaction(session: Client, sql: string): Promise<string> {
  await session.query("BEGIN");
  try {
    return await answer(session, sql);
  } finally {
    await session.query("ROLLBACK");
  }
}

/** What was made before the guard was there, or beside it. */
export async function pastTheGuard({ superuser }: TestServer, role: string, sql: string): Promise<void> {
  await superuser.query(
    `SET session_replication_role = replica; SET ROLE ${role}; ${sql}; RESET ROLE; RESET session_replication_role`,
  );
}
