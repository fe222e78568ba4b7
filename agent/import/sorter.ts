import { extensionsSchema, platformSchema, superuserRole, type Plan } from "../../components/access/plan-items";
import { printable } from "../../services/printable";
import { BackupFailure } from "../failure";
import { shortened } from "../fault";
import { entryOf, granteeOf, isOfOwner, serviceOf, type Entry } from "./entry";
import type { Piece } from "./pieces";
import { longestValue, SequenceValues } from "./sequence-values";

/** pg_dump's last words: a file without them was cut off. */
export const lastLine = "-- PostgreSQL database dump complete";

/** In which a file is taken apart; in others a quote may be half of a letter. */
const expected: readonly (readonly [RegExp, string])[] = [
  [/^SET client_encoding = '(?!UTF8')(.*)';$/, "it is not in UTF8: pg_dump --encoding=UTF8"],
  [/^SET standard_conforming_strings = off;$/, "it has texts of before standard_conforming_strings"],
];

/** Each the first of its major version that writes none. */
const withBrokenNames = "13.22, 14.19, 15.14, 16.10 and 17.6";

/** More than a setting, a grant or a change of owner is: of a function with a hundred arguments. */
const shortBytes = 65_536;

/** Says what of a file is whose, a piece after the other. */
export class Sorter {
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
  private readonly values = new SequenceValues();

  constructor(private readonly plan: Plan) {
    this.codes = plan.services.map(({ code }) => code);
    this.known = new Set(["-", "", superuserRole, ...plan.roles.map(({ name }) => name)]);
  }

  /** The service whose part takes it. */
  sort(piece: Piece): string | undefined {
    const service = this.serviceOf(piece);
    this.doubt ??= this.values.doubt;
    return service;
  }

  private serviceOf(piece: Piece): string | undefined {
    switch (piece.kind) {
      case "comment": {
        const entry = entryOf(piece.text);
        if (entry !== undefined) this.begin(entry, piece.text);
        this.values.other(piece.text);
        if (piece.text === lastLine) this.isComplete = true;
        return undefined;
      }
      case "command":
        this.values.other(piece.text);
        if (piece.text.startsWith("\\restrict ") && this.entry === undefined) this.isSafe = true;
        else if (!/^\\(?:restrict|unrestrict|connect) /.test(piece.text)) this.strays.add(brief(piece.text));
        return undefined;
      case "rows":
        return this.current;
      case "statement":
        if (piece.hasExtract) this.doubt ??= `it has EXTRACT${this.place()}, whose field PostgreSQL writes as it is`;
        this.values.statement(
          piece.bytes.toString("utf8", Math.max(0, piece.bytes.length - longestValue)),
          piece.isEnd,
        );
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
    this.values.begin(entry);
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
