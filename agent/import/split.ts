import { randomBytes } from "node:crypto";
import { mkdir, open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { addAbortSignal, type Readable } from "node:stream";
import { escapeIdentifier } from "pg";
import type { Plan } from "../../components/access/plan-items";
import { tierRole } from "../../services/service";
import { BackupFailure } from "../failure";
import type { ToolOptions } from "../tool";
import { Pieces } from "./pieces";
import { lastLine, Sorter } from "./sorter";

/** What a file of pg_dump's SQL has of the stack. */
export interface Split {
  /** Of each service that is in it: a file of SQL for its owner. */
  readonly parts: ReadonlyMap<string, string>;
  /** Services of which it has something, and not all. */
  readonly incomplete: readonly string[];
  /** What nobody can know of it, or takes from it, in words. */
  readonly unverified: readonly string[];
}

/** Whether the owners of the server a file is from are trusted: not to pretend in it to be each other. */
export interface Trust {
  readonly trustsOwners: boolean;
}

/**
 * Writes what a dump has of each service into a file of its own, as it comes in. Settings, owners and rights are the plan's, and left
 * out, as what belongs to no service is.
 * @param folder is made
 * @throws BackupFailure where it is cut off, or written in a way that what is in it cannot be told apart; where an owner may have
 * pretended to be another, and owners are not trusted
 */
export async function splitPlain(
  contents: Readable,
  folder: string,
  plan: Plan,
  { signal, trustsOwners }: Pick<ToolOptions, "signal"> & Trust,
): Promise<Split> {
  if (signal !== undefined) addAbortSignal(signal, contents);
  await mkdir(folder, { mode: 0o700 });
  const pieces = new Pieces();
  const sorter = new Sorter(plan);
  const parts = new Map<string, { readonly name: string; readonly file: FileHandle }>();
  try {
    for await (const chunk of contents as AsyncIterable<Buffer>) {
      const sorted = new Map<string, Buffer[]>();
      for (const piece of pieces.take(chunk)) {
        const service = sorter.sort(piece);
        if (service === undefined || !("bytes" in piece)) continue;
        const its = sorted.get(service) ?? [];
        its.push(piece.bytes, ...(piece.kind === "statement" && piece.isEnd ? [newline] : []));
        sorted.set(service, its);
      }
      if (sorter.doubt !== undefined && !trustsOwners) throw new BackupFailure(`${sorter.doubt}; ${cure}`);
      for (const service of sorter.services) {
        if (parts.has(service)) continue;
        const name = join(folder, `${service}.sql`);
        const file = await open(name, "wx", 0o600);
        parts.set(service, { name, file });
        await file.appendFile(beginning(service));
      }
      for (const [service, its] of sorted) await parts.get(service)?.file.appendFile(Buffer.concat(its));
    }
  } finally {
    for (const { file } of parts.values()) await file.close();
  }
  if (!pieces.isWhole || !sorter.isComplete) throw new BackupFailure(`it is cut off: its end is not ${lastLine}`);
  const names = [...parts].map(([service, { name }]) => [service, name] as const);
  return {
    parts: new Map(names.filter(([service]) => sorter.whole.has(service))),
    incomplete: names.map(([service]) => service).filter((service) => !sorter.whole.has(service)),
    unverified: sorter.unverified(),
  };
}

const newline = Buffer.from("\n");

const cure =
  "so an owner could pretend to be another: take pg_dump's own format (-Fc), where none can, or --trust-owners where you trust all of that server";

/** What each part begins with: psql carries no command of its own out behind the first line, and its key is nobody's. */
const beginning = (service: string) =>
  [
    `\\restrict ${randomBytes(16).toString("hex")}`,
    `SET ROLE ${escapeIdentifier(tierRole(service, "owner"))};`,
    "SET client_encoding = 'UTF8';",
    "SELECT pg_catalog.set_config('search_path', '', false);",
    "SET check_function_bodies = false;",
    "SET xmloption = content;",
    "SET client_min_messages = warning;",
    "SET row_security = off;",
    "",
  ].join("\n");
