import { randomUUID } from "node:crypto";
import { DatabaseError, type QueryResult } from "pg";
import { identifier } from "../../components/access/describe";
import { superuserRole, type Plan } from "../../components/access/plan-items";
import { renderDropKept } from "../../components/access/retired-sql";
import { setAsideComment } from "../../components/access/set-aside";
import { database as live } from "../../components/settings-rules";
import { printable } from "../../services/printable";
import { OperatorError } from "../operator-error";
import { elsewhere } from "./alone";
import { originOf } from "./databases";
import { asSuperuser, type Platform } from "./platform";
import type { Steps } from "./steps";

/** What a restore has kept, or has restored beside. */
export interface Kept {
  readonly type: "schema" | "database";
  readonly name: string;
}

/**
 * What is there of that name, and may be dropped.
 * @throws OperatorError where it is nothing a restore has kept, or is needed
 */
export async function requireKept(platform: Platform, name: string): Promise<Kept> {
  if (!isSchemaName(platform.plan, name)) {
    await asSuperuser(platform, elsewhere, (superuser) => originOf(superuser, name));
    return { type: "database", name };
  }
  const { rows } = await asSuperuser(platform, live, (superuser) =>
    superuser.query<{ name: string; comment: string | null }>(
      "SELECT nspname AS name, obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspowner = $1::regrole ORDER BY 1",
      [superuserRole],
    ),
  );
  const kept = rows.filter((row) => isSchemaName(platform.plan, row.name));
  // A drop that was stopped is gone on with by either name.
  const found = [name, begunName(name)].flatMap((one) => kept.find((row) => row.name === one) ?? [])[0];
  if (found === undefined) {
    throw new OperatorError(
      `${name} is no schema of ${live} that was kept: there are ${kept.map((row) => row.name).join(", ") || "none"}`,
    );
  }
  if (found.comment === setAsideComment) {
    throw new OperatorError(
      `${name} is what the service had, which a restore in its place has not ended with: see npm run ops -- status`,
    );
  }
  return { type: "schema", name: found.name };
}

/** Drops it: a schema in as many transactions as it takes, as it may have more than the server has locks. */
export async function dropKept(platform: Platform, { type, name }: Kept, steps: Steps): Promise<void> {
  await steps.run(`drop the ${type} ${name}`, async () => {
    try {
      const parts = type === "schema" ? await dropSchema(platform, name) : await dropDatabase(platform, name);
      return [parts > 1 ? `it is gone, in ${parts} parts` : "it is gone", undefined];
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      throw new OperatorError(printable([error.message, error.detail, error.hint].filter(Boolean).join("; ")));
    }
  });
}

/** `gt_before_20261127t101500`, also `gt_failed_…`, and `gt_dropped_…` of which a part is gone. */
function isSchemaName({ services, retired }: Plan, name: string): boolean {
  const [, code] = /^([a-z]+)_(?:before|failed|dropped)_\d{8}t\d{6}$/.exec(name) ?? [];
  return [...services, ...retired].some((service) => service.code === code);
}

const begunName = (name: string) => name.replace(/_(before|failed)_/, "_dropped_");

/** @returns in how many transactions */
function dropSchema(platform: Platform, name: string): Promise<number> {
  const run = randomUUID();
  return asSuperuser(platform, live, async (superuser) => {
    for (let parts = 1; ; parts++) {
      const statements = renderDropKept(parts === 1 ? name : begunName(name), begunName(name), run);
      // Of several statements pg has several results, whatever its types say.
      const results = (await superuser.query(statements)) as unknown as readonly QueryResult<{ is_left?: boolean }>[];
      if (results.flatMap(({ rows }) => rows).at(-1)?.is_left !== true) return parts;
      platform.signal?.throwIfAborted();
    }
  });
}

/** Not with force: whoever is in it looks at it, or fills it. */
async function dropDatabase(platform: Platform, name: string): Promise<1> {
  await asSuperuser(platform, elsewhere, (superuser) => superuser.query(`DROP DATABASE ${identifier(name)}`));
  return 1;
}
