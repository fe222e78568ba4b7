import { Client } from "pg";
import { planAccess } from "../../components/access/plan";
import { superuserRole, type Plan } from "../../components/access/plan-items";
import { docker } from "../../components/cluster/docker-cli";
import { dockerNames, nodeNames, type NodeName } from "../../components/naming";
import { database } from "../../components/settings-rules";
import { printable } from "../../services/printable";
import { targetOfStack } from "../audit/target";
import type { LoginTarget } from "../login-target";
import { OperatorError } from "../operator-error";
import { readRegistry } from "../registry-file";
import type { Stack } from "../stack-file";
import { appliedRegistry } from "./plan-now";

/** What a restore works on: a running stack, its plan, and how to log in. */
export interface Platform {
  readonly stack: Stack;
  /** Of the services' own database, when the restore began; see planNow. */
  readonly plan: Plan;
  /** The registry of the last `up` before it, as JSON; undefined where nobody knew. */
  readonly applied: string | undefined;
  readonly logins: LoginTarget;
  /** Stops a restore: what is half done is undone. @default nothing does */
  readonly signal?: AbortSignal;
}

/** @throws OperatorError where the stack has no outputs, or the registry cannot be used */
export async function platformOf(stack: Stack): Promise<Platform> {
  const { extensions } = stack.settings;
  const plan = planAccess(await readRegistry(stack.settings), { database, extensions });
  const { logins } = targetOfStack(stack);
  if (logins === undefined) throw new OperatorError(`stack ${stack.name} has no passwords in its outputs`);
  return { stack, plan, applied: appliedRegistry(stack), logins };
}

/**
 * Does something as the superuser in a database of the primary.
 * @throws OperatorError where it is not let in
 */
export async function asSuperuser<T>(
  { logins: { host, port, passwords, authority } }: Platform,
  database: string,
  work: (superuser: Client) => Promise<T>,
): Promise<T> {
  const superuser = new Client({
    ...{ host, port, database, user: superuserRole, password: passwords.get(superuserRole) },
    ...{ application_name: "centraldb-restore", connectionTimeoutMillis: 10_000 },
    ...(authority === undefined ? {} : { ssl: { ca: authority } }),
  });
  superuser.on("error", () => undefined); // a broken connection also rejects the query in progress
  try {
    await superuser.connect();
  } catch (error) {
    const said = printable(error instanceof Error ? error.message : String(error));
    throw new OperatorError(`the primary does not let the superuser into ${database}: ${said}`);
  }
  try {
    // A service may hold a lock for as long as it likes.
    await superuser.query("SET lock_timeout = '30s'");
    return await work(superuser);
  } finally {
    await superuser.end();
  }
}

/** The same plan in a database beside the services' own: until it takes that one's place, nobody of the plan is let in. */
export function planBeside(plan: Plan, beside: string): Plan {
  return { ...plan, database: beside };
}

/** A node's name, and its container. */
export interface RunningNode {
  readonly node: NodeName;
  readonly container: string;
}

/** @throws OperatorError where no node, or more than one, is the primary */
export function findNodes({ settings, dockerHost: host, name }: Stack): {
  readonly primary: RunningNode;
  /** undefined where it does not run. */
  readonly standby: RunningNode | undefined;
} {
  const names = dockerNames(settings.namePrefix);
  const psql = ["psql", "-XAtU", superuserRole, "-d", "postgres", "-c", "SELECT pg_is_in_recovery()"];
  const nodes = nodeNames.map((node) => ({
    ...{ node, container: names[node].container },
    answer: docker(["exec", names[node].container, ...psql], { host, timeoutMs: 20_000 }).stdout.trim(),
  }));
  const [primary, second] = nodes.filter(({ answer }) => answer === "f");
  if (primary === undefined || second !== undefined) {
    throw new OperatorError(
      `${primary === undefined ? "no" : "more than one"} node answers as the primary: npm run ops -- status --stack ${name}`,
    );
  }
  return { primary, standby: nodes.find(({ answer }) => answer === "t") };
}
