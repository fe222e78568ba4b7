import { noData, primaryContradiction, type NodeData } from "../../components/cluster/primary-check";
import { dockerNames, type NodeName } from "../../components/naming";
import { isStopped } from "../lifecycle/nodes";
import type { Stack } from "../stack-file";
import type { CertificateStatus, FilesOnDisk, NodeStatus, ServerStatus } from "./collect";
import { bytes, daysUntil, duration } from "./format";

/** What is not as it should be, a sentence each, with what to do; empty when all is well. */
export function problemsOf(nodes: readonly NodeStatus[], stack: Stack): readonly string[] {
  const dataOf = (node: NodeName): NodeData => {
    const role = nodes.find((status) => status.node === node)?.server?.role;
    return role === undefined ? noData : { role, timeline: 0, running: true };
  };
  const othersAnswer = (container: string) =>
    nodes.some((other) => other.container !== container && other.server !== undefined);
  const isStreaming = ({ state }: { readonly state: string }) => state === "streaming";
  const contradiction = primaryContradiction(stack.settings, {
    primary: dataOf("primary"),
    replica: dataOf("replica"),
  });
  return [
    ...nodes.flatMap(({ container, state, error }) =>
      error === undefined
        ? []
        : state === "missing"
          ? [`${container} does not exist: npm run up -- ${stack.name}`]
          : isStopped(state)
            ? [`${container} is ${state}: npm run ops -- start --stack ${stack.name}`]
            : [`${container} does not answer: ${error} (docker logs ${container})`],
    ),
    ...(contradiction === undefined ? [] : [contradiction]),
    ...(nodes.some(({ server }) => server !== undefined) && !nodes.some(({ server }) => server?.role === "primary")
      ? [
          "no primary answers: bring back the node that was it, or promote the standby; see README, When the primary is gone",
        ]
      : []),
    ...nodes.flatMap(({ container, certificates }) => certificateProblems(container, certificates, stack)),
    ...nodes.flatMap(({ container, server, files }) => {
      if (server === undefined) return [];
      // The backup's own agent begins anew where its slot is lost.
      const { slot: backupSlot } = dockerNames(stack.settings.namePrefix).backup;
      const lost = server.slots.filter(({ name, walStatus }) => walStatus === "lost" && name !== backupSlot);
      return [
        ...(server.role === "primary" && othersAnswer(container) && !server.standbys.some(isStreaming)
          ? [`no standby streams from ${container}: its log and the standby's say why`]
          : []),
        ...(server.replayWaitSeconds > waitSeconds
          ? [
              `${container} has waited for a session of its own for ${duration(server.replayWaitSeconds)}, and replays nothing: ` +
                `npm run ops -- end-sessions --stack ${stack.name} ends a service's`,
            ]
          : []),
        ...(server.role === "primary" ? abuses(server, stack) : []),
        ...(server.role === "primary" ? diskProblems(container, files) : []),
        ...lost.map(
          ({ name }) => `slot ${name} on ${container} has lost WAL its standby needs: the standby must be copied anew`,
        ),
        ...(server.pendingRestart.length > 0
          ? [`${container} needs a restart for ${server.pendingRestart.join(", ")}: docker restart ${container}`]
          : []),
        ...(server.alteredBySystem.length > 0
          ? [
              `ALTER SYSTEM on ${container} hides what the stack says of ${server.alteredBySystem.join(", ")}: ALTER SYSTEM RESET`,
            ]
          : []),
      ];
    }),
  ];
}

function certificateProblems(container: string, certificates: CertificateStatus | undefined, stack: Stack): string[] {
  if (certificates === undefined) return [];
  const [server, authority] = [daysUntil(certificates.server), daysUntil(certificates.authority)];
  return [
    ...(server < serverDays
      ? [
          `the certificate of ${container} ends in ${server} days: npm run up -- ${stack.name} renews it, or centraldb:certificates has it`,
        ]
      : []),
    ...(authority < authorityDays
      ? [`the authority of ${container}'s certificate ends in ${authority} days: see README, Certificates`]
      : []),
  ];
}

function diskProblems(container: string, files: FilesOnDisk | undefined): string[] {
  if (files === undefined) return [`${container} does not say in time what is on its disk`];
  const { bytes: orphaned, files: number, largest } = files.orphans;
  if (orphaned < manyOrphanBytes) return [];
  return [
    `${container} has ${bytes(orphaned)} in ${number} files of no table, which a crash has left: ${largest.join(", ")}` +
      `${number > largest.length ? ", …" : ""}; see README, What can go wrong`,
  ];
}

/** Less is not worth a hand in the data directory. */
const manyOrphanBytes = 100 * 1024 ** 2;
/** A reader has 30 seconds before it is cancelled. */
const waitSeconds = 120;
/** `up` renews 90 days before: below this nobody has run it for long. */
const serverDays = 30;
/** Every client must get the next one first. */
const authorityDays = 180;

/** A thousand tables or functions of a service are many. */
const manyObjects = 10_000;

/** A thousand tables have a tenth of it. */
const manyDependencies = 1_000_000;

/** As many as the guard lets a schema have; past it they are made by EXPLAIN ANALYZE. */
const manyMaterializedViews = 100;

/** What a service does to the others, where a number tells. */
function abuses(server: ServerStatus, { name }: Stack): string[] {
  const {
    passwords,
    schemas,
    dependencies,
    setAside,
    connections,
    oldestTransaction,
    hiddenLogins,
    transactionIdAge,
    longestAutovacuum,
    notificationQueue,
    predicateLocks,
  } = server;
  const shut = connections.filter(({ limit }) => limit === 0).map(({ role }) => role);
  return [
    ...setAside.map(
      (schema) =>
        `what ${schema.replace(/_before_.*$/, "")} had is ${schema}, since a restore in its place has begun: where none is under way ` +
        `any more, npm run ops -- restore swap ${schema} --stack ${name} puts it back`,
    ),
    // No registry has 0: while a service is restored in its place, and of a restore that was killed.
    ...(shut.length > 0 && setAside.length === 0
      ? [
          `${shut.join(", ")} may have no connection (limit 0): where no restore is under way, npm run ops -- audit --fix-sql ` +
            `--stack ${name} has what lets them in`,
        ]
      : []),
    ...passwords
      .filter(({ ours }) => !ours)
      .map(
        ({ role }) =>
          `the password of ${role} is not the stack's any more: another rotation in services/registry.ts sets a new one`,
      ),
    ...schemas
      .filter(({ objects }) => objects > manyObjects)
      .map(
        ({ name: schema, objects }) =>
          `schema ${schema} has ${objects} tables, indexes, functions and types, which makes its DDL, plans, the audit and backups slow: its owner drops them`,
      ),
    ...dependencies
      .filter(({ number }) => number > manyDependencies)
      .map(
        ({ schema, number }) =>
          `views, checks and so on in schema ${schema} depend on columns some ${(number / 1e6).toFixed(1)} million times, and with sixteen ` +
          "million no dump of anybody can be made: its owner drops those that name many",
      ),
    ...schemas
      .filter(({ materializedViews }) => materializedViews > manyMaterializedViews)
      .map(
        ({ name: schema, materializedViews }) =>
          `schema ${schema} has ${materializedViews} materialized views, and with thousands no dump of anybody can be made: its owner ` +
          `drops them down to ${manyMaterializedViews}, npm run ops -- audit names them`,
      ),
    ...(oldestTransaction !== null && oldestTransaction.seconds > 3600
      ? [
          `${oldestTransaction.role} has a transaction open for ${duration(oldestTransaction.seconds)}, which holds back VACUUM for ` +
            `all: npm run ops -- end-sessions --stack ${name}`,
        ]
      : []),
    ...(hiddenLogins > 3
      ? [
          `${hiddenLogins} logins are under way and hold back VACUUM: npm run ops -- end-sessions ends those of a service`,
        ]
      : []),
    ...(transactionIdAge > 1e9
      ? [
          `${Math.round(transactionIdAge / 1e6)} million transaction ids are in use of 2,000: VACUUM does not keep up, or is held back`,
        ]
      : []),
    ...(longestAutovacuum > 6 * 3600
      ? [`an autovacuum worker is busy for ${duration(longestAutovacuum)}: pg_stat_activity says with which table`]
      : []),
    ...(notificationQueue > 0.5
      ? [`the queue of NOTIFY is ${Math.round(notificationQueue * 100)} % full: a listener is in a long transaction`]
      : []),
    ...(predicateLocks > 0.5
      ? [
          `the table of predicate locks is ${Math.round(predicateLocks * 100)} % full, which SERIALIZABLE transactions of all share: ` +
            `pg_locks says whose they are, npm run ops -- end-sessions --stack ${name} ends them`,
        ]
      : []),
  ];
}
