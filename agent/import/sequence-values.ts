import { printable } from "../../services/printable";
import type { Entry } from "./entry";

/** More than a statement has that sets one, in bytes: of two names. */
export const longestValue = 1_000;

/** What such a statement ends with, behind the number. */
const end = /, (?:true|false)\);$/;
const longestEnd = ", false);".length;

/**
 * Whether anything stands in a file where pg_dump has written a sequence's last value. It reads that by the sequence's name and writes
 * it as it is; an owner who has put a materialized view there meanwhile can write any text. Such a text is seen by what it cannot be
 * without: pg_dump's own words behind the value, which must be the end of something.
 */
export class SequenceValues {
  /** The first that is not what pg_dump writes, in words. */
  doubt: string | undefined;
  private readonly made = new Set<string>();
  private readonly set = new Set<string>();
  /** Values stand together, behind the rows. */
  private place: "before" | "among" | "behind" = "before";
  private current: Entry | undefined;

  /** @param entry null where it cannot be told */
  begin(entry: Entry | null): void {
    this.current = entry?.type === "SEQUENCE SET" ? entry : undefined;
    if (entry?.type === "SEQUENCE") this.made.add(keyOf(entry));
    if (this.current === undefined) {
      if (this.place === "among") this.place = "behind";
      return;
    }
    const key = keyOf(this.current);
    if (this.place === "behind" || this.set.has(key) || !this.made.has(key)) this.refuse(this.current);
    this.place = "among";
    this.set.add(key);
  }

  /** @param text its end at least; of one that goes on `isEnd` is false */
  statement(text: string, isEnd: boolean): void {
    // Settings, which are left out, come in front of what they are for.
    if (this.current === undefined || /^(?:SET|RESET) /.test(text)) {
      this.other(text);
      return;
    }
    const [, name = ""] =
      (isEnd ? /^SELECT pg_catalog\.setval\('((?:[^']|'')*)', -?\d+, (?:true|false)\);$/.exec(text) : null) ?? [];
    const sequence = name.replaceAll("''", "'").replaceAll(/[\r\n]/g, " ");
    const { schema, name: own } = this.current;
    const isOwn = spellings(schema).some((one) => spellings(own).some((other) => sequence === `${one}.${other}`));
    if (!isOwn) this.refuse(this.current);
  }

  /** What is no value of a sequence, and no row. */
  other(text: string): void {
    if (this.place !== "before" && end.test(text.slice(-longestEnd)))
      this.doubt ??= `${printable(text.slice(0, 60))} ${why}`;
  }

  private refuse(entry: Entry): void {
    this.doubt ??= `SEQUENCE SET ${printable(keyOf(entry)).slice(0, 60)} ${why}`;
  }
}

const why = "is not as pg_dump writes it, which writes the value of a sequence as it is";

const keyOf = ({ schema, name }: Entry) => `${schema}.${name}`;

/** Of a name in SQL: as it is, where it needs no quotes. */
const spellings = (name: string) => [name, `"${name.replaceAll('"', '""')}"`];
