import { atMost } from "./failure";
import type { LogicalContents, Manifest } from "./manifest";

/** How much a dump has of one service. */
export interface ServiceCounts {
  readonly tables: number;
  readonly rows: number;
  readonly sequences: number;
}

/** What a dump has, without its tables and sequences one by one: an owner may make thousands, with names of its own. */
export interface LogicalSummary extends Omit<LogicalContents, "rowKey" | "objects" | "tables" | "sequences"> {
  /** Of each of its services, by code. */
  readonly counts: Readonly<Record<string, ServiceCounts>>;
}

/** What a manifest says in a list of all of them, which is no longer for anything a service does. */
export interface Summary extends Omit<Manifest, "logical"> {
  readonly logical?: LogicalSummary;
}

/** The summary of a manifest. Pure. */
export function summaryOf({ logical, imported, ...others }: Manifest): Summary {
  return {
    ...others,
    ...(logical && { logical: withoutTables(logical) }),
    ...(imported && { imported: { ...imported, unverified: imported.unverified.map(atMost) } }),
  };
}

function withoutTables({ dumps, roles, services, tables, sequences, leftOut }: LogicalContents): LogicalSummary {
  const counts = new Map(services.map((code) => [code, { tables: 0, rows: 0, sequences: 0 }]));
  for (const [name, { rows }] of Object.entries(tables)) {
    const its = counts.get(schemaOf(name));
    if (its === undefined) continue;
    its.tables++;
    its.rows += rows;
  }
  for (const name of Object.keys(sequences)) {
    const its = counts.get(schemaOf(name));
    if (its !== undefined) its.sequences++;
  }
  return {
    ...{ dumps, roles, services },
    counts: Object.fromEntries(counts),
    leftOut: leftOut.map(({ service, why }) => ({ service, why: atMost(why) })),
  };
}

/** Of a name as SQL has it. A service's schema needs no quotes: it is its code. */
export function schemaOf(name: string): string {
  return name.slice(0, name.indexOf("."));
}
