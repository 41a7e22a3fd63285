import { isUnreachable, type Cluster } from '../fleet/cluster.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { ClusterObservation, ReplicaState } from './cluster.port.ts';
import type { Deployment } from './deployment.ts';
import { observeReplicas, type ReplicaChange } from './observe-replicas.ts';
import { planClusterStatus, type ClusterFacts, type ClusterStatusPlan } from './plan-cluster-status.ts';
import { planWorkloads, type DeploymentWorld, type LoopPace, type WorkloadsPlan } from './plan-workloads.ts';
import { isHeld, type Replica, type SeenProblem, type Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import type { RevisionErrors } from './revision-errors.port.ts';
import type { Rollout } from './rollout.ts';

/** Everything that one pass over a cluster decides from. */
export interface ClusterInput {
  /** The row of the cluster whose loop this is. */
  readonly cluster: Cluster;
  /** Rows of the others that have workloads of these deployments. */
  readonly others: readonly Cluster[];
  /** Null = the cluster could not be seen. */
  readonly observation: ClusterObservation | null;
  /** Since when, and why, it cannot be seen; null = it can. */
  readonly blind: ClusterFacts['blind'];
  readonly otherEpoch: number | null;
  /** When this process saw it last, before this observation. */
  readonly seenAt: Instant | null;
  readonly deployments: readonly Deployment[];
  readonly revisions: readonly Revision[];
  readonly rollouts: readonly Rollout[];
  /** On this cluster. */
  readonly workloads: readonly Workload[];
  readonly replicas: readonly Replica[];
  /** Of the same deployments on other clusters, as their loops last wrote them. */
  readonly elsewhere: { readonly workloads: readonly Workload[]; readonly replicas: readonly Replica[] };
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
  readonly errors: ReadonlyMap<Id, RevisionErrors>;
  /** What the cluster said that it cannot run, by workload: why, and whether waiting helps. */
  readonly refusals: ReadonlyMap<Id, SeenProblem>;
  /** Quotas of replicas by team; absent = none. */
  readonly teamReplicaLimits: ReadonlyMap<Id, number>;
}

export interface DeploymentStep {
  readonly deployment: Deployment;
  readonly rolloutBefore: Rollout | null;
  readonly replicas: readonly ReplicaChange[];
  readonly plan: WorkloadsPlan;
}

export interface ClusterPlan {
  readonly before: Cluster;
  readonly status: ClusterStatusPlan;
  /** True if everything is told again; the rebuild that was asked for is then carried out. */
  readonly retell: boolean;
  readonly steps: readonly DeploymentStep[];
  /** Replicas of deployments that are gone: their end is written all the same. */
  readonly orphans: readonly ReplicaChange[];
  /** Slots that are held, by state; null = the cluster could not be seen. */
  readonly held: Readonly<Record<ReplicaState, number>> | null;
  /** True while something is on its way, so that the next pass should come soon. */
  readonly busy: boolean;
}

/** Fewer requests say nothing about a share of errors. Higher lets errors through for longer, lower rolls back on one unlucky caller. */
const MIN_REQUESTS = 20;
/** Share of errors in percent that a new revision may have. */
const MAX_ERROR_PERCENT = 5;
/**
 * So many errors are enough where most requests end in one: routers pass over a replica that fails, so that few more ever come. Higher
 * lets a dead revision take over before it is known, lower rolls back on two unlucky callers.
 */
const MIN_MOSTLY_ERRORS = 3;

/** One pass: what was observed becomes rows, and each deployment takes its next step. */
export function planCluster(input: ClusterInput, pace: LoopPace, now: Instant): ClusterPlan {
  const { cluster, observation, seenAt } = input;
  const status = planClusterStatus(input, now);
  const workloads = new Map(input.workloads.map((workload) => [workload.id, workload]));
  const changes = observeReplicas({ observation, known: input.replicas, workloads, seenAt });
  const index = indexOf(input, changes, status.after ?? cluster);
  const known = new Set(input.deployments.map(({ id }) => id));
  const steps = input.deployments.map((deployment): DeploymentStep => {
    const world = worldOf(deployment, input, index);
    const replicas = changes.filter(({ after }) => after.deploymentId === deployment.id);
    return { deployment, rolloutBefore: world.rollout, replicas, plan: planWorkloads(world, pace, now) };
  });
  return {
    before: cluster,
    status,
    retell: index.retell,
    steps,
    orphans: changes.filter(({ after }) => !known.has(after.deploymentId)),
    held: observation && heldByState(heldAfter(input.replicas, changes)),
    busy: steps.some(isBusy) || (observation === null && !isUnreachable(cluster)),
  };
}

const heldAfter = (before: readonly Replica[], changes: readonly ReplicaChange[]): Replica[] => {
  const after = new Map(before.map((replica) => [replica.id, replica]));
  for (const change of changes) after.set(change.after.id, change.after);
  return [...after.values()].filter(isHeld);
};

const heldByState = (replicas: readonly Replica[]): Record<ReplicaState, number> => {
  const counts = { starting: 0, serving: 0, unready: 0, draining: 0 };
  for (const { state } of replicas) counts[state] += 1;
  return counts;
};

interface Index {
  readonly revisions: ReadonlyMap<Id, Revision[]>;
  readonly rollouts: ReadonlyMap<Id, Rollout>;
  readonly workloads: ReadonlyMap<Id, Workload[]>;
  readonly replicas: ReadonlyMap<Id, Replica[]>;
  readonly observed: DeploymentWorld['observed'];
  readonly unseen: ReadonlySet<Id>;
  readonly retell: boolean;
  readonly failing: ReadonlyMap<Id, string>;
  readonly waiting: ReadonlyMap<Id, string>;
  readonly erring: ReadonlyMap<Id, string>;
}

function indexOf(input: ClusterInput, changes: readonly ReplicaChange[], cluster: Cluster): Index {
  const { observation, elsewhere, others } = input;
  const replicas = [...heldAfter(input.replicas, changes), ...elsewhere.replicas];
  // What is not seen just now is as its row says, so that all loops decide from the same.
  const told = observation ? elsewhere.workloads : [...elsewhere.workloads, ...input.workloads];
  return {
    revisions: Map.groupBy(input.revisions, ({ deploymentId }) => deploymentId),
    rollouts: new Map(input.rollouts.map((rollout) => [rollout.deploymentId, rollout])),
    workloads: Map.groupBy([...input.workloads, ...elsewhere.workloads], ({ deploymentId }) => deploymentId),
    replicas: Map.groupBy(replicas, ({ deploymentId }) => deploymentId),
    observed: observation && new Map(observation.workloads.map((workload) => [workload.workloadId, workload])),
    unseen: new Set([cluster, ...others].filter(isUnreachable).map(({ id }) => id)),
    retell: observation !== null && cluster.rebuilds !== cluster.rebuilt,
    failing: new Map([...writtenProblems(told, true), ...failingOf(input)]),
    waiting: new Map([
      ...[...writtenProblems(told, false), ...refusedOf(input, false)],
      ...[...returnedOf(input), ...problemsOf(observation, false)],
    ]),
    erring: erringOf(input.errors),
  };
}

const writtenProblems = (workloads: readonly Workload[], failing: boolean): [Id, string][] =>
  workloads.flatMap(({ id, seenProblem }): [Id, string][] =>
    seenProblem?.failing === failing ? [[id, seenProblem.message]] : [],
  );

const refusedOf = ({ observation, refusals }: ClusterInput, failing: boolean): [Id, string][] =>
  [...(observation ? refusals : [])].flatMap(([id, refusal]): [Id, string][] =>
    refusal.failing === failing ? [[id, refusal.message]] : [],
  );

/** A replica's end is written once. One that is there all the same, let go and taken over again for instance, is none any more. */
function returnedOf({ observation, replicas }: ClusterInput): [Id, string][] {
  const ended = new Set(replicas.filter((replica) => !isHeld(replica)).map(({ id }) => id));
  const returned = (observation?.replicas ?? []).filter((one) => one.capacityUntil === null && ended.has(one.replicaId));
  return [...Map.groupBy(returned, ({ workloadId }) => workloadId)].map(([id, some]) => [
    id,
    `${some.length} of its replicas had been given up before and cannot count again: restart it there, as with kubectl rollout restart.`,
  ]);
}

function failingOf(input: ClusterInput): Map<Id, string> {
  const { observation } = input;
  const hopeless = (observation?.replicas ?? []).filter(
    ({ failing, capacityUntil, state }) => failing && capacityUntil === null && state !== 'serving',
  );
  return new Map([
    ...refusedOf(input, true),
    ...hopeless.map(({ workloadId, message }) => [workloadId, `A replica fails again and again. ${message}`.trim()] as const),
    ...problemsOf(observation, true),
  ]);
}

/** What keeps workloads from having their replicas, by whether waiting helps. */
const problemsOf = (observation: ClusterObservation | null, failing: boolean): [Id, string][] =>
  (observation?.workloads ?? []).flatMap(({ workloadId, problem }): [Id, string][] =>
    problem?.failing === failing ? [[workloadId, `${problem.reason}: ${problem.message}`]] : [],
  );

function erringOf(errors: ReadonlyMap<Id, RevisionErrors>): Map<Id, string> {
  return new Map([...errors].filter(([, seen]) => isBad(seen)).map(([id, seen]) => [id, errorsInWords(seen)]));
}

const isBad = ({ requests, errors }: RevisionErrors): boolean =>
  (requests >= MIN_REQUESTS && errors * 100 > requests * MAX_ERROR_PERCENT) ||
  (errors >= MIN_MOSTLY_ERRORS && errors * 2 > requests);

/** An error that was sent again elsewhere is none of the answered requests. */
const errorsInWords = ({ requests, errors }: RevisionErrors): string =>
  errors > requests
    ? `It met ${errors} errors; ${requests} requests were answered.`
    : `${errors} of ${requests} requests met an error.`;

const worldOf = (deployment: Deployment, input: ClusterInput, index: Index): DeploymentWorld => ({
  deployment,
  revisions: index.revisions.get(deployment.id) ?? [],
  rollout: index.rollouts.get(deployment.id) ?? null,
  workloads: index.workloads.get(deployment.id) ?? [],
  replicas: index.replicas.get(deployment.id) ?? [],
  clusterId: input.cluster.id,
  observed: index.observed,
  unseen: index.unseen,
  retell: index.retell,
  failing: index.failing,
  waiting: index.waiting,
  erring: index.erring,
  teamReplicaLimit: input.teamReplicaLimits.get(deployment.teamId) ?? null,
  rates: input.rates,
});

const isBusy = ({ deployment, rolloutBefore, plan }: DeploymentStep): boolean => {
  const { phase } = plan.deployment ?? deployment;
  const rollout = plan.rollout ?? rolloutBefore;
  return phase === 'PENDING' || phase === 'DEPLOYING' || plan.leaving || (rollout !== null && rollout.endedAt === null);
};
