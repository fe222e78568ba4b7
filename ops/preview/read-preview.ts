import { OperatorError } from "../operator-error";

/** What `up` will do with a resource. Pulumi's words; the steps of a replacement are one. */
export type Operation = "create" | "import" | "update" | "replace" | "delete";

/** A resource's inputs, as the program gives them. */
export type Inputs = Readonly<Record<string, unknown>>;

export interface ResourceChange {
  readonly operation: Operation;
  /** `docker:index/container:Container` */
  readonly type: string;
  /** The resource's name in the program: `primary-container`. */
  readonly name: string;
  /** Empty where it is created; after a refresh what is really there. */
  readonly before: Inputs;
  /** Empty where it is deleted. */
  readonly after: Inputs;
  /** Of a replacement or an update, the inputs that are why. */
  readonly because: readonly string[];
  /** Where pulumi lets go of it, the thing itself stays. */
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
  /** In an order of their own: pulumi's is that in which answers came in. */
  readonly changes: readonly ResourceChange[];
  readonly notices: readonly Notice[];
}

interface Step {
  readonly op: string;
  readonly urn: string;
  readonly oldState?: State;
  readonly newState?: State;
  readonly diffReasons?: readonly string[] | null;
  readonly replaceReasons?: readonly string[] | null;
}

interface State {
  readonly inputs?: Inputs;
  readonly retainOnDelete?: boolean;
}

interface Diagnostic {
  readonly severity?: string;
  readonly message?: string;
}

const operations: Readonly<Record<string, Operation>> = {
  create: "create",
  import: "import",
  update: "update",
  replace: "replace",
  "create-replacement": "replace",
  "import-replacement": "replace",
  "delete-replaced": "replace",
  "discard-replaced": "replace",
  delete: "delete",
};

/**
 * What `pulumi preview --json` printed.
 * @param where it was found, for messages
 * @throws OperatorError where it is something else
 */
export function readPreview(text: string, where: string): Preview {
  const { steps = [], diagnostics = [] } = parse(text, where);
  if (!isListOf(steps, isStep) || !isListOf(diagnostics, isDiagnostic)) {
    throw notAPreview(where, "steps are not a list of { op, urn, … }, or diagnostics none of { severity, message }");
  }
  const byResource = new Map<string, Step[]>();
  for (const step of steps) byResource.set(step.urn, [...(byResource.get(step.urn) ?? []), step]);
  const changes = [...byResource.values()].flatMap(changeOf);
  return {
    stack: steps[0]?.urn.split("::")[0]?.split(":").at(-1),
    changes: changes.sort((a, b) => (a.name < b.name ? -1 : 1)),
    notices: diagnostics.flatMap(noticeOf),
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

function isListOf<T>(value: unknown, isOne: (one: Partial<T>) => boolean): value is readonly T[] {
  if (!Array.isArray(value)) return false;
  return value.every((one: unknown) => typeof one === "object" && one !== null && isOne(one as Partial<T>));
}

const isStep = ({ op, urn }: Partial<Step>) => typeof op === "string" && typeof urn === "string";
const isDiagnostic = ({ message }: Partial<Diagnostic>) => message === undefined || typeof message === "string";

function changeOf(steps: readonly Step[]): readonly ResourceChange[] {
  // In front of what is planned a refresh has a step of its own, which may be called an update too.
  const planned = steps.length > 1 && ["update", "delete"].includes(steps[0]?.op ?? "") ? steps.slice(1) : steps;
  const mine = planned.filter(({ op }) => op in operations);
  // Of a replacement's steps one shows both sides.
  const step = mine.find(({ oldState, newState }) => oldState !== undefined && newState !== undefined) ?? mine[0];
  const operation = operations[step?.op ?? ""];
  if (step === undefined || operation === undefined) return [];
  const { urn, oldState, newState, replaceReasons, diffReasons } = step;
  const [type = "", name = ""] = urn.split("::").slice(2);
  return [
    {
      operation,
      type: type.split("$").at(-1) ?? type,
      name,
      before: operation === "create" ? {} : (oldState?.inputs ?? {}),
      after: operation === "delete" ? {} : (newState?.inputs ?? {}),
      because: [...new Set([...(replaceReasons ?? []), ...(diffReasons ?? [])])].flatMap((input) => shown(input) ?? []),
      retained: oldState?.retainOnDelete ?? false,
    },
  ];
}

function noticeOf({ severity, message = "" }: Diagnostic): readonly Notice[] {
  // Where a plugin was found is of no interest, and said of each.
  if (severity === "warning" && /^(warning: )?using pulumi-\S+ from \$PATH at \S+\s*$/.test(message)) return [];
  if (severity !== "error" && severity !== "warning") return [];
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

/** A list of texts; empty where there is none, or one of them may not be shown. */
export function shownList(value: unknown): readonly string[] {
  const texts = Array.isArray(value) ? value.map(shown) : [];
  return texts.every((text) => text !== undefined) ? texts : [];
}
