import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { ClusterObservation, ReplicaState } from './cluster.port.ts';
import type { Deployment } from './deployment.ts';
import { observeReplicas, type ReplicaChange } from './observe-replicas.ts';
import { planWorkloads, type DeploymentWorld, type LoopPace, type WorkloadsPlan } from './plan-workloads.ts';
import { isHeld, type Replica, type Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import type { RevisionErrors } from './revision-errors.port.ts';
import type { Rollout } from './rollout.ts';

/** Everything that one pass over a cluster decides from. */
export interface ClusterInput {
  /** Null = the cluster could not be seen. */
  readonly observation: ClusterObservation | null;
  /** When this process saw it last, before this observation. */
  readonly seenAt: Instant | null;
  readonly deployments: readonly Deployment[];
  readonly revisions: readonly Revision[];
  readonly rollouts: readonly Rollout[];
  readonly workloads: readonly Workload[];
  readonly replicas: readonly Replica[];
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
  readonly errors: ReadonlyMap<Id, RevisionErrors>;
  /** What the cluster said it can never run: workload → why. */
  readonly refusals: ReadonlyMap<Id, string>;
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
  const workloads = new Map(input.workloads.map((workload) => [workload.id, workload]));
  const changes = observeReplicas({ observation: input.observation, known: input.replicas, workloads, seenAt: input.seenAt });
  const index = indexOf(input, changes);
  const known = new Set(input.deployments.map(({ id }) => id));
  const steps = input.deployments.map((deployment): DeploymentStep => {
    const world = worldOf(deployment, input, index);
    const replicas = changes.filter(({ after }) => after.deploymentId === deployment.id);
    return { deployment, rolloutBefore: world.rollout, replicas, plan: planWorkloads(world, pace, now) };
  });
  return {
    steps,
    orphans: changes.filter(({ after }) => !known.has(after.deploymentId)),
    held: input.observation && heldByState([...index.replicas.values()].flat()),
    busy: steps.some(isBusy),
  };
}

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
  readonly failing: ReadonlyMap<Id, string>;
  readonly waiting: ReadonlyMap<Id, string>;
  readonly erring: ReadonlyMap<Id, string>;
}

function indexOf(input: ClusterInput, changes: readonly ReplicaChange[]): Index {
  const after = new Map(input.replicas.map((replica) => [replica.id, replica]));
  for (const change of changes) after.set(change.after.id, change.after);
  const { observation } = input;
  return {
    revisions: Map.groupBy(input.revisions, ({ deploymentId }) => deploymentId),
    rollouts: new Map(input.rollouts.map((rollout) => [rollout.deploymentId, rollout])),
    workloads: Map.groupBy(input.workloads, ({ deploymentId }) => deploymentId),
    replicas: Map.groupBy([...after.values()].filter(isHeld), ({ deploymentId }) => deploymentId),
    observed: observation && new Map(observation.workloads.map((workload) => [workload.workloadId, workload])),
    failing: failingOf(input),
    waiting: new Map(problemsOf(observation, false)),
    erring: erringOf(input.errors),
  };
}

function failingOf({ observation, refusals }: ClusterInput): Map<Id, string> {
  const hopeless = (observation?.replicas ?? []).filter(
    ({ failing, capacityUntil, state }) => failing && capacityUntil === null && state !== 'serving',
  );
  return new Map([
    ...refusals,
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
  observed: index.observed,
  failing: index.failing,
  waiting: index.waiting,
  erring: index.erring,
  teamReplicaLimit: input.teamReplicaLimits.get(deployment.teamId) ?? null,
  rates: input.rates,
});

const isBusy = ({ deployment, rolloutBefore, plan }: DeploymentStep): boolean => {
  const { phase, deletedAt } = plan.deployment ?? deployment;
  const rollout = plan.rollout ?? rolloutBefore;
  return (
    phase === 'PENDING' ||
    phase === 'DEPLOYING' ||
    deletedAt !== null ||
    plan.leaving ||
    (rollout !== null && rollout.endedAt === null)
  );
};
