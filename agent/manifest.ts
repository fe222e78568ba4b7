import type { SequenceValue } from "./proof/dump-contents";
import type { RowKey, TableContents } from "./proof/row-sum";
import type { SchemaObjects, TableParts } from "./proof/tables";
import type { BackupClass, StoredKind } from "./schedule";

/** What a proven backup says of itself: `manifest.json` in its folder. Sizes in bytes, durations in seconds, times in ISO 8601. */
export interface Manifest {
  readonly format: 1;
  readonly id: string;
  readonly kind: StoredKind;
  readonly classes: readonly BackupClass[];
  /** Of a dump the moment of its snapshot. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly seconds: { readonly tools: number; readonly proof: number };
  readonly server: {
    readonly host: string;
    /** `16.14` */
    readonly version: string;
    readonly systemIdentifier: string;
    readonly timeline: number;
  };
  /** What made it: `pg_dump (PostgreSQL) 16.14`. */
  readonly tool: string;
  /** WAL a physical backup needs to be consistent, and a dump's place in it. */
  readonly wal: { readonly timeline: number; readonly start: string; readonly stop: string };
  readonly files: readonly ManifestFile[];
  readonly registrySha256: string;
  readonly accessSha256: string;
  /** Of a dump. */
  readonly logical?: LogicalContents;
  readonly imported?: ImportedFile;
}

export interface ManifestFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** The file a backup was made of that is `imported`. */
export interface ImportedFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  /** What of it nobody can know: in words. */
  readonly unverified: readonly string[];
}

/** A file of pg_dump's. */
export interface Dump {
  readonly file: string;
  /** Whose schema it is; null for everything that is in no other file of the backup. */
  readonly service: string | null;
}

/** What the roles are called where a dump lacks them; no service has such a code. */
export const globals = "globals";

export interface LogicalContents {
  /** One of everything; or one of each service and one of the rest, where the whole could not be dumped. */
  readonly dumps: readonly Dump[];
  /** Of the tables' sums. */
  readonly rowKey: RowKey;
  /** Every table in the dump's own snapshot, by name as SQL has it: `gt.gt_raw_data`. Its rows were counted there and again in the dump. */
  readonly tables: Readonly<Record<string, TableContents & TableParts>>;
  /** Of each of its services. */
  readonly objects: Readonly<Record<string, SchemaObjects>>;
  /** Of each sequence what the dump sets it to. */
  readonly sequences: Readonly<Record<string, SequenceValue>>;
  readonly roles: readonly string[];
  /** Services that are in it. */
  readonly services: readonly string[];
  /** Services that could not be dumped, or {@link globals}. */
  readonly leftOut: readonly { readonly service: string; readonly why: string }[];
}
