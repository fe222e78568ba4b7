import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extensionsSchema, platformSchema, superuserRole, type Plan } from "../../components/access/plan-items";
import { printable } from "../../services/printable";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";
import { restoreOptions } from "../restore/owner-login";
import type { OwnersWork } from "../restore/services";
import { runTool, type ToolOptions } from "../tool";
import type { Split } from "./split";

/**
 * Reads what a dump in pg_dump's own format has of each service. Its entries stand each by itself: whatever an owner has written into one
 * of its own is run as that owner, and no other.
 * @param folder is made, for the file
 * @throws BackupFailure where it cannot be read to its end
 */
export async function readArchive(
  contents: Readable,
  folder: string,
  plan: Plan,
  options: ToolOptions,
): Promise<Split> {
  await mkdir(folder, { mode: 0o700 });
  const file = join(folder, "archive.dump");
  const { signal } = options;
  await pipeline(contents, createWriteStream(file, { mode: 0o600 }), signal === undefined ? {} : { signal });
  const asIs = (error: unknown) => {
    if (!(error instanceof BackupFailure)) throw error;
    throw new BackupFailure(`it cannot be read to its end: ${error.message}`);
  };
  const list = await runTool("pg_restore", ["--list", file], options).catch(asIs);
  await runTool("pg_restore", ["--file=/dev/null", file], options).catch(asIs);
  const { whole, some, unverified } = inArchive(list, plan);
  return {
    parts: new Map(whole.map((code) => [code, file])),
    incomplete: some.filter((code) => !whole.includes(code)),
    unverified,
  };
}

/** Nothing of a service is published. */
const all = ["--single-transaction", "--no-publications"];

/** One service of it, all or nothing. */
export async function restoreArchive(
  to: readonly string[],
  { service, file, login, limited }: OwnersWork,
): Promise<void> {
  await runTool("pg_restore", [...to, ...restoreOptions(service, login.owner), ...all, file], limited);
}

interface InArchive {
  /** Services whose schema is in it. */
  readonly whole: readonly string[];
  /** Services of which something is. */
  readonly some: readonly string[];
  readonly unverified: readonly string[];
}

/** `215; 1259 16390 TABLE gt gt_rows gtown`; a schema's has `-` for its own. Line breaks in names are none here. */
const entry = /^\d+; \d+ \d+ ([A-Z][A-Z ]*) (\S+) (.*) (\S+)$/;

/** What `pg_restore --list` says. Pure. */
export function inArchive(list: string, plan: Plan): InArchive {
  const codes = plan.services.map(({ code }) => code);
  const ofStack = [...codes, platformSchema, extensionsSchema];
  const known = new Set(["-", superuserRole, ...plan.roles.map(({ name }) => name)]);
  const entries = list.split("\n").flatMap((line) => {
    const [, type, schema, name, owner] = entry.exec(line) ?? [];
    return type === undefined || schema === undefined || name === undefined || owner === undefined
      ? []
      : [{ type, schema, name, owner }];
  });
  const names = (of: readonly string[]) => [...new Set(of)];
  const told = (what: string, of: readonly string[]) =>
    of.length === 0 ? [] : [`${what}: ${shortened(names(of).map((one) => printable(one)))}`];
  const tables = entries.filter(({ type, schema }) => type === "TABLE" && !ofStack.includes(schema));
  const roles = entries.map(({ owner }) => owner).filter((role) => !known.has(role) && !role.startsWith("pg_"));
  return {
    whole: codes.filter((code) => entries.some(({ type, name }) => type === "SCHEMA" && name === code)),
    some: codes.filter((code) => entries.some(({ schema }) => schema === code)),
    unverified: [
      ...told("owners that are not the stack's", roles),
      ...told(
        "tables of no service, which no restore takes",
        tables.map(({ schema, name }) => `${schema}.${name}`),
      ),
    ],
  };
}
