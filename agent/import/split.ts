import { randomBytes } from "node:crypto";
import { mkdir, open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { addAbortSignal, type Readable } from "node:stream";
import { escapeIdentifier } from "pg";
import { extensionsSchema, platformSchema, superuserRole, type Plan } from "../../components/access/plan-items";
import { tierRole } from "../../services/service";
import { printable } from "../../services/printable";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";
import type { ToolOptions } from "../tool";
import { entryOf, granteeOf, isOfOwner, serviceOf, type Entry } from "./entry";
import { Pieces, type Piece } from "./pieces";

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

/** pg_dump's last words: a file without them was cut off. */
const lastLine = "-- PostgreSQL database dump complete";

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

/** In which a file is taken apart; in others a quote may be half of a letter. */
const expected: readonly (readonly [RegExp, string])[] = [
  [/^SET client_encoding = '(?!UTF8')(.*)';$/, "it is not in UTF8: pg_dump --encoding=UTF8"],
  [/^SET standard_conforming_strings = off;$/, "it has texts of before standard_conforming_strings"],
];

/** Versions of pg_dump behind those that do. */
const withBrokenNames = "13.22, 14.19, 15.14, 16.10 and 17.6";

/** More than a setting, a grant or a change of owner is: of a function with a hundred arguments. */
const shortBytes = 65_536;

/** Says what of a file is whose. */
class Sorter {
  /** Something of them is in it. */
  readonly services = new Set<string>();
  /** Their schema itself is. */
  readonly whole = new Set<string>();
  /** The first reason for which nobody can tell whose what comes behind it is, in words. */
  doubt: string | undefined;
  /** Its last words are said, and nothing is behind them. */
  isComplete = false;
  /** Undefined before the first; null where it cannot be told. */
  private entry: Entry | null | undefined;
  /** Whose the statement or its rows are that go on. */
  private current: string | undefined;
  private isContinued = false;
  /** pg_dump keeps line breaks out of its comments. */
  private isSafe = false;
  private readonly codes: readonly string[];
  private readonly known: ReadonlySet<string>;
  private readonly roles = new Words();
  private readonly tables = new Words();
  private readonly others = new Words();
  private readonly extensions = new Words();
  private readonly strays = new Words();

  constructor(private readonly plan: Plan) {
    this.codes = plan.services.map(({ code }) => code);
    this.known = new Set(["-", "", superuserRole, ...plan.roles.map(({ name }) => name)]);
  }

  /** The service whose part takes it. */
  sort(piece: Piece): string | undefined {
    switch (piece.kind) {
      case "comment": {
        const entry = entryOf(piece.text);
        if (entry !== undefined) this.begin(entry, piece.text);
        if (piece.text === lastLine) this.isComplete = true;
        return undefined;
      }
      case "command":
        if (piece.text.startsWith("\\restrict ") && this.entry === undefined) this.isSafe = true;
        else if (!/^\\(?:restrict|unrestrict|connect) /.test(piece.text)) this.strays.add(brief(piece.text));
        return undefined;
      case "rows":
        return this.current;
      case "statement":
        if (piece.hasExtract) this.doubt ??= `it has EXTRACT${this.place()}, whose field PostgreSQL writes as it is`;
        if (!this.isContinued) this.current = this.ofStatement(piece.bytes);
        this.isContinued = !piece.isEnd;
        this.isComplete = false;
        return this.current;
    }
  }

  unverified(): readonly string[] {
    return [
      ...(this.doubt === undefined
        ? []
        : [`that every statement is of the service it is said to be of: ${this.doubt}`]),
      ...this.roles.told("owners and rights of roles that are not the stack's"),
      ...this.extensions.told("extensions that are not the stack's"),
      ...this.tables.told("tables of no service, which no restore takes"),
      ...this.others.told("what else is of no service, and no restore takes"),
      ...this.strays.told("what is of no object, and was left out"),
    ];
  }

  private isKnown(role: string): boolean {
    return this.known.has(role) || role.startsWith("pg_");
  }

  private place(): string {
    if (this.entry === undefined || this.entry === null) return "";
    const { type, schema, name } = this.entry;
    return ` in ${type} ${brief(printable(`${schema}.${name}`))}`;
  }

  private begin(entry: Entry | null, text: string): void {
    this.entry = entry;
    if (!this.isSafe)
      this.doubt ??= `its pg_dump may be of before ${withBrokenNames}, and writes line breaks of names as they are`;
    if (entry === null) {
      this.strays.add(brief(text));
      return;
    }
    const { name, type, schema, owner } = entry;
    if (!this.isKnown(owner)) this.roles.add(owner);
    const service = type === "SCHEMA" ? this.codes.find((code) => code === name) : serviceOf(entry, this.codes);
    if (type === "SCHEMA" && service !== undefined) this.whole.add(service);
    if (service !== undefined) this.services.add(service);
    else if (type === "EXTENSION") {
      if (!this.plan.extensions.some((one) => one.name === name)) this.extensions.add(name);
    } else if (![...this.codes, platformSchema, extensionsSchema].includes(schema)) {
      const told = schema === "-" ? name : `${schema}.${name}`;
      if (type === "TABLE") this.tables.add(told);
      else if (!ofThePlan.includes(type)) this.others.add(`${type} ${told}`);
    }
  }

  private ofStatement(bytes: Buffer): string | undefined {
    // A longer one is an object's own.
    const text = bytes.length > shortBytes ? "" : bytes.toString("utf8");
    if (/^(?:SET|RESET) |^SELECT pg_catalog\.set_config\('search_path'/.test(text)) {
      const wrong = expected.find(([pattern]) => pattern.test(text));
      if (wrong !== undefined) throw new BackupFailure(wrong[1]);
      return undefined;
    }
    if (this.entry === undefined || this.entry === null) {
      this.strays.add(brief(bytes.toString("utf8", 0, 200)));
      return undefined;
    }
    if (this.entry.type.endsWith("ACL")) {
      const role = granteeOf(text);
      if (role !== undefined && !this.isKnown(role)) this.roles.add(role);
    }
    return this.entry.type === "SCHEMA" || isOfOwner(text) ? undefined : serviceOf(this.entry, this.codes);
  }
}

/** Of no schema, or beside tables; a table is told by itself. */
const ofThePlan: readonly string[] = [
  ...["SCHEMA", "ACL", "DEFAULT ACL", "COMMENT", "SECURITY LABEL", "DATABASE", "DATABASE PROPERTIES", "EVENT TRIGGER"],
  ...["TABLE DATA", "TABLE ATTACH", "CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT", "DEFAULT", "INDEX", "TRIGGER"],
  ...["MATERIALIZED VIEW DATA", "SEQUENCE SET", "SEQUENCE OWNED BY", "INDEX ATTACH", "RULE", "POLICY", "ROW SECURITY"],
  ...["PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA"],
];

const brief = (text: string) => text.slice(0, 60);

/** The first of many. */
class Words {
  private readonly words = new Set<string>();

  add(word: string): void {
    if (this.words.size < 1000) this.words.add(word);
  }

  told(what: string): readonly string[] {
    return this.words.size === 0 ? [] : [`${what}: ${shortened([...this.words])}`];
  }
}
