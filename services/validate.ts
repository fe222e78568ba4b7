import { fields } from "./fields";
import { didYouMean } from "./did-you-mean";
import { connectionBudget, reservedConnections } from "./connection-budget";
import { show, showKey } from "./printable";
import { reservedReason } from "./reserved-names";
import { tierRole, tiers, type Service } from "./service";

/** One thing wrong with the registry: `services.gatherer.reads[0]: unknown service "ledgr"; …` */
export interface Problem {
  readonly path: string;
  /** What was wrong, got, allowed, likely cure; lower case, no final period. */
  readonly message: string;
}

const codePattern = /^[a-z]{2,8}$/;

/** Longest identifier PostgreSQL keeps, in bytes (NAMEDATALEN - 1); longer ones are cut without an error. */
const maxIdentifierBytes = 63;

/**
 * Every problem of a registry, in registry order; empty when it may be planned. Also checks the types at run time:
 * `npm start` and Pulumi run the registry without the compiler's checks.
 */
export function validateRegistry(registry: readonly Service[], maxConnections: number): readonly Problem[] {
  if (!Array.isArray(registry)) {
    return [{ path: "services", message: `expected a list of service literals, got ${show(registry)}` }];
  }
  // With nothing in place of the holes of a list, such as two commas leave.
  const services: readonly Service[] = Array.from<Service>(registry);
  const shape = services.flatMap((service, index) => shapeProblems(service, labelOf(services, index)));
  const sound = services.map(soundFields);
  const meaning = services.flatMap((_, index) => [
    ...nameProblems(sound, index),
    ...codeProblems(sound, index),
    ...tableProblems(at(sound, index), labelOf(sound, index)),
    ...readsProblems(sound, index),
    ...retiredProblems(at(sound, index), labelOf(sound, index)),
  ]);
  // What a stand-in for a field of the wrong type gets wrong is no news.
  const isNews = ({ path }: Problem) =>
    !shape.some(
      (problem) => path === problem.path || path.startsWith(`${problem.path}.`) || path.startsWith(`${problem.path}[`),
    );
  const problems = [...shape, ...meaning.filter(isNews)];
  return shape.length > 0 ? problems : [...problems, ...budgetProblems(services, maxConnections)];
}

/** The one message a person sees: all problems, a line each. */
export function formatProblems(problems: readonly Problem[]): string {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return [`services/registry.ts has ${count}:`, ...problems.map(({ path, message }) => `  ${path}: ${message}`)].join(
    "\n",
  );
}

/** `services.gatherer`, or `services[3]` where the name does not tell which one is meant. */
function labelOf(services: readonly Service[], index: number): string {
  const name: unknown = (services[index] as Partial<Service> | null | undefined)?.name;
  const unique = services.filter((other) => (other as Partial<Service> | null | undefined)?.name === name).length === 1;
  return typeof name === "string" && /^[a-z][a-z0-9-]{0,39}$/.test(name) && unique
    ? `services.${name}`
    : `services[${index}]`;
}

function shapeProblems(service: unknown, label: string): Problem[] {
  if (typeof service !== "object" || service === null) {
    return [{ path: label, message: `expected a service literal, got ${show(service)}` }];
  }
  const values = service as Readonly<Record<string, unknown>>;
  const known = Object.keys(fields);
  const problems: Problem[] = [];
  for (const key of Object.keys(values).filter((key) => !known.includes(key))) {
    problems.push({
      path: label + showKey(key),
      message: `unknown field; known are ${known.join(", ")}${didYouMean(key, known)}`,
    });
  }
  for (const [key, field] of Object.entries(fields)) {
    const value = values[key];
    if (value === undefined ? field.required : !field.check(value)) {
      problems.push({ path: `${label}.${key}`, message: `expected ${field.expected}, got ${show(value)}` });
    }
  }
  return problems;
}

/** The service with harmless values in place of fields of the wrong type, so that the other fields can be judged. */
function soundFields(service: unknown): Service {
  const values = (typeof service === "object" && service !== null ? service : {}) as Partial<Service>;
  const checked = Object.entries(fields).map(([key, field]) => {
    const value = values[key as keyof Service];
    return [key, value === undefined || field.check(value) ? value : undefined] as const;
  });
  return {
    name: "",
    code: "",
    purpose: "",
    tables: [],
    ...Object.fromEntries(checked.filter(([, value]) => value !== undefined)),
  };
}

function nameProblems(services: readonly Service[], index: number): Problem[] {
  const { name } = at(services, index);
  const path = `${labelOf(services, index)}.name`;
  if (!/^[a-z][a-z0-9-]{0,39}$/.test(name)) {
    return [
      { path, message: `expected 1 to 40 lower-case letters, digits and dashes, a letter first, got ${show(name)}` },
    ];
  }
  const first = services.findIndex((other) => other.name === name);
  return first < index ? [{ path, message: `duplicate name "${name}"; services[${first}] has it already` }] : [];
}

function codeProblems(services: readonly Service[], index: number): Problem[] {
  const { code } = at(services, index);
  const path = `${labelOf(services, index)}.code`;
  if (!codePattern.test(code)) {
    return [{ path, message: `expected 2 to 8 lower-case letters, got ${show(code)}` }];
  }
  const reason = reservedReason(code);
  if (reason !== undefined) return [{ path, message: `"${code}" is reserved: ${reason}` }];
  const earlier = services.findIndex((other) => other.code === code);
  if (earlier < index) {
    return [{ path, message: `duplicate code "${code}"; ${labelOf(services, earlier)} has it already` }];
  }
  // A schema called like another service's role reads as if they belonged together: "gtown" is a role of "gt".
  const namesake = services.find((other) => tiers.some((tier) => tierRole(other.code, tier) === code));
  return namesake === undefined
    ? []
    : [{ path, message: `"${code}" is the name of a role of "${namesake.name}"; choose another code` }];
}

function tableProblems(service: Service, label: string): Problem[] {
  return service.tables.flatMap((table, index) => {
    const path = `${label}.tables[${index}]`;
    if (!codePattern.test(service.code)) return []; // without a code there is no prefix to hold them against
    const prefix = `${service.code}_`;
    if (Buffer.byteLength(table) > maxIdentifierBytes) {
      return [
        {
          path,
          message: `expected at most ${maxIdentifierBytes} bytes, got ${Buffer.byteLength(table)} in ${show(table)}`,
        },
      ];
    }
    if (!table.startsWith(prefix)) {
      return [{ path, message: `${show(table)} lacks the prefix of its service; call it ${show(prefix + table)}` }];
    }
    if (!/^[a-z0-9_]+$/.test(table) || table === prefix) {
      return [
        { path, message: `expected ${prefix} and lower-case letters, digits and underscores, got ${show(table)}` },
      ];
    }
    return service.tables.indexOf(table) < index ? [{ path, message: `duplicate table "${table}"` }] : [];
  });
}

function readsProblems(services: readonly Service[], index: number): Problem[] {
  const service = at(services, index);
  const known = services.map(({ name }) => name);
  const others = known.filter((name) => name !== service.name && name !== "");
  return (service.reads ?? []).flatMap((target, position, reads) => {
    const path = `${labelOf(services, index)}.reads[${position}]`;
    if (target === service.name) return [{ path, message: "a service reads its own schema anyway; remove the line" }];
    if (!known.includes(target)) {
      const names = others.map((name) => `"${name}"`).join(", ");
      const known = names === "" ? "there is no other" : `known services are ${names}`;
      return [{ path, message: `unknown service ${show(target)}; ${known}${didYouMean(target, others)}` }];
    }
    if (service.lifecycle !== "retired" && services.some((other) => other.name === target && isRetired(other))) {
      return [{ path, message: `"${target}" is retired, and has nothing to read; remove the entry` }];
    }
    return reads.indexOf(target) < position ? [{ path, message: `duplicate entry "${target}"` }] : [];
  });
}

const isRetired = ({ lifecycle }: Service) => lifecycle === "retired";

/** Which backup has what was dropped must be known as long as the line is. */
function retiredProblems(service: Service, label: string): Problem[] {
  const { name, lifecycle = "active", retiredBackups } = service;
  const path = `${label}.retiredBackups`;
  const count = Object.keys(retiredBackups ?? {}).length;
  if (isRetired(service) && count === 0) {
    return [
      {
        path,
        message: `a retired service needs the backup it is in; npm run ops -- retire ${name}, while it is frozen, makes and prints it`,
      },
    ];
  }
  return isRetired(service) || retiredBackups === undefined
    ? []
    : [{ path, message: `only a retired service has it, and this one is "${lifecycle}"; remove the line` }];
}

function budgetProblems(services: readonly Service[], maxConnections: number): Problem[] {
  const budget = connectionBudget(services, maxConnections);
  if (budget.free >= 0) return [];
  const taken = [
    ...reservedConnections.map(({ who, connections }) => ({ name: who, connections })),
    ...budget.services,
  ];
  const rows = taken.map(({ name, connections }) => `${name} ${connections}`).join(", ");
  return [
    {
      path: "services",
      message:
        `the connection limits exceed max_connections = ${maxConnections} by ${-budget.free} (${rows}); ` +
        "lower connectionLimits or raise centraldb:maxConnections",
    },
  ];
}

function at(services: readonly Service[], index: number): Service {
  const service = services[index];
  if (service === undefined) throw new RangeError(`no service at ${index}`);
  return service;
}
