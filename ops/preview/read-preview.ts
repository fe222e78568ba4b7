import { OperatorError } from "../operator-error";

/** What `up` will do with a resource. Pulumi's words; the steps of a replacement are one. */
export type Operation = "create" | "update" | "replace" | "delete" | "import";

/** A resource's inputs, as the program gives them. */
export type Inputs = Readonly<Record<string, unknown>>;

export interface ResourceChange {
  readonly operation: Operation;
  /** `docker:index/container:Container` */
  readonly type: string;
  /** The resource's name in the program: `primary-container`. */
  readonly name: string;
  /** Empty where it is created. */
  readonly before: Inputs;
  /** Empty where it is deleted. */
  readonly after: Inputs;
  /** Of a replacement or an update, the inputs that are why. */
  readonly because: readonly string[];
  /** Where pulumi lets go of a resource, the thing itself stays. */
  readonly retained: boolean;
}

/** What the program or pulumi says beside it. */
export interface Notice {
  readonly severity: "error" | "warning";
  readonly message: string;
}

export interface Preview {
  /** Name of the stack; undefined where the preview failed before its first resource. */
  readonly stack: string | undefined;
  readonly changes: readonly ResourceChange[];
  /** What a refresh found other than the state has it, before `up` changes it back; empty where none was asked for. */
  readonly drift: readonly ResourceChange[];
  readonly notices: readonly Notice[];
}

interface Step {
  readonly op: string;
  readonly urn: string;
  readonly oldState?: State;
  readonly newState?: State;
  readonly diffReasons?: readonly string[] | null;
  readonly replaceReasons?: readonly string[] | null;
  readonly detailedDiff?: Readonly<Record<string, unknown>> | null;
}

interface State {
  readonly inputs?: Inputs;
  readonly outputs?: Inputs;
  readonly retainOnDelete?: boolean;
}

interface Diagnostic {
  readonly severity?: string;
  readonly message?: string;
}

const operations: Readonly<Record<string, Operation>> = {
  create: "create",
  update: "update",
  replace: "replace",
  "create-replacement": "replace",
  "delete-replaced": "replace",
  "discard-replaced": "replace",
  delete: "delete",
  import: "import",
  "import-replacement": "import",
};

/**
 * What `pulumi preview --json` printed.
 * @param where it was found, for messages
 * @throws OperatorError where it is something else
 */
export function readPreview(text: string, where: string): Preview {
  const document = parse(text, where);
  const { steps = [], diagnostics = [] } = document;
  if (!Array.isArray(steps) || !steps.every(isStep) || !Array.isArray(diagnostics)) {
    throw notAPreview(where, "steps are not a list of { op, urn, … }");
  }
  const byResource = new Map<string, Step[]>();
  for (const step of steps) byResource.set(step.urn, [...(byResource.get(step.urn) ?? []), step]);
  const ordered = [...byResource.values()];
  return {
    stack: steps[0]?.urn.split("::")[0]?.split(":").at(-1),
    changes: ordered.flatMap(changeOf),
    drift: ordered.flatMap(driftOf),
    notices: (diagnostics as readonly Diagnostic[]).flatMap(noticeOf),
  };
}

function parse(text: string, where: string): { readonly steps?: unknown; readonly diagnostics?: unknown } {
  if (text.trim() === "") throw notAPreview(where, "it is empty");
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw notAPreview(where, error instanceof Error ? error.message : String(error));
  }
  if (typeof document !== "object" || document === null) throw notAPreview(where, "it is no object");
  if (!("steps" in document) && !("diagnostics" in document)) {
    throw notAPreview(where, "it has neither steps nor diagnostics");
  }
  return document;
}

function notAPreview(where: string, why: string): OperatorError {
  return new OperatorError(`${where}: expected what pulumi preview --json prints, but ${why}`);
}

function isStep(step: unknown): step is Step {
  const { op, urn } = (step ?? {}) as Partial<Step>;
  return typeof op === "string" && typeof urn === "string";
}

/** The steps of one resource; of a refresh there is one more, in front. */
function planned(steps: readonly Step[]): readonly Step[] {
  return steps.length > 1 && ["refresh", "update", "delete"].includes(steps[0]?.op ?? "") ? steps.slice(1) : steps;
}

function changeOf(steps: readonly Step[]): readonly ResourceChange[] {
  const mine = planned(steps).filter(({ op }) => op in operations);
  const [first] = mine;
  if (first === undefined) return [];
  // A replacement that is created shows both sides; the rest of its steps one each.
  const both = mine.find(({ oldState, newState }) => oldState !== undefined && newState !== undefined) ?? first;
  return [change(both, operations[both.op] ?? "update")];
}

function driftOf(steps: readonly Step[]): readonly ResourceChange[] {
  const [first] = steps;
  if (first === undefined || planned(steps).length === steps.length) return [];
  return first.op === "update" || first.op === "delete" ? [change(first, first.op)] : [];
}

function change({ urn, oldState, newState, ...step }: Step, operation: Operation): ResourceChange {
  const [type = "", name = ""] = urn.split("::").slice(2);
  const reasons = [...(step.replaceReasons ?? []), ...(step.diffReasons ?? [])];
  return {
    operation,
    type: type.split("$").at(-1) ?? type,
    name,
    before: operation === "create" ? {} : (oldState?.inputs ?? {}),
    after: operation === "delete" ? {} : (newState?.inputs ?? {}),
    because: [...new Set(reasons)],
    retained: oldState?.retainOnDelete ?? false,
  };
}

function noticeOf({ severity, message }: Diagnostic): readonly Notice[] {
  if (typeof message !== "string" || (severity !== "error" && severity !== "warning")) return [];
  return [{ severity, message: message.replace(/^(error|warning): /, "").trim() }];
}

/** Pulumi's marks. Source: computedValuePlaceholder in pkg/resource/stack/deployment.go, massagePropertyValue in pkg/backend/display/json.go. */
const unknownMark = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const secretMark = "[secret]";

/** A value as text; undefined where it is secret, known only after `up`, or no single value. */
export function shown(value: unknown): string | undefined {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string" || value.includes(unknownMark) || value.includes(secretMark)) return undefined;
  return value;
}

/** A list of texts; empty where it is none, undefined where one of them may not be shown. */
export function shownList(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return undefined;
  const texts = value.map(shown);
  return texts.every((text) => text !== undefined) ? texts : undefined;
}
