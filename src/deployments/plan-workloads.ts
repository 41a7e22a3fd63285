import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { assessDeployment, isSameStatus, type Status } from './assess-deployment.ts';
import type { ObservedWorkload } from './cluster.port.ts';
import type { Deployment, TrafficWeight } from './deployment.ts';
import { makeWorkloadSpec, NO_ARTIFACT, workloadDigest } from './make-workload-spec.ts';
import { isServing } from './observe-replicas.ts';
import { isHeld, type Replica, type Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import { advanceRollout, effectiveWeights, type Rollout, type RolloutFacts, type RolloutPace } from './rollout.ts';

/** One deployment as wished and as seen, all that its loop needs. */
export interface DeploymentWorld {
  readonly deployment: Deployment;
  readonly revisions: readonly Revision[];
  /** The rollout under way, else the last one. */
  readonly rollout: Rollout | null;
  /** Every workload that is not gone. */
  readonly workloads: readonly Workload[];
  /** After the observation, given-up ones left out. */
  readonly replicas: readonly Replica[];
  /** What the cluster was told before; null = it could not be seen. */
  readonly observed: ReadonlyMap<Id, ObservedWorkload> | null;
  /** Workloads that the cluster says it can never run, and replicas that it gave up on: why. */
  readonly failing: ReadonlyMap<Id, string>;
  /** Workloads whose replicas wait for something, such as a node: what. */
  readonly waiting: ReadonlyMap<Id, string>;
  /** Revisions whose requests meet too many errors: why. */
  readonly erring: ReadonlyMap<Id, string>;
  /** Replicas that the team may hold; null = no quota. */
  readonly teamReplicaLimit: number | null;
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
}

export interface LoopPace extends RolloutPace {
  /** Between leaving the route table and being drained, in ms. Higher keeps unused replicas, lower drains before routers have heard. */
  readonly graceMs: number;
}

export interface WorkloadsPlan {
  /** The row after this pass; null = unchanged. */
  readonly deployment: Deployment | null;
  /** True if the wish itself changed (traffic went back): history gets a row. */
  readonly wishChanged: boolean;
  readonly rollout: Rollout | null;
  readonly removed: readonly Workload[];
  readonly gone: readonly Workload[];
  /** What the cluster must be told, after the rows are written. */
  readonly apply: readonly Workload[];
  readonly remove: readonly Id[];
  /** True while workloads wait to be drained or to be gone. */
  readonly leaving: boolean;
}

/**
 * The next step of one deployment. Without an observation only the status moves: nothing is deleted, scaled or started again. All
 * effects are idempotent, and a plan made again after a crash in the middle asks for the rest.
 */
export function planWorkloads(world: DeploymentWorld, pace: LoopPace, now: Instant): WorkloadsPlan {
  const rollout = world.rollout && advanceRollout(world.rollout, rolloutFacts(world, world.rollout), pace, now);
  const wish = nextWish(world, rollout, now);
  const after = { ...world, deployment: wish, rollout };
  const removed = world.observed ? unneeded(after).map((workload) => ({ ...workload, removedAt: now })) : [];
  const workloads = world.workloads.map((workload) => removed.find((one) => one.id === workload.id) ?? workload);
  const gone = world.observed
    ? workloads.filter((workload) => isGone(after, workload)).map((workload) => ({ ...workload, goneAt: now }))
    : [];
  const left = workloads.filter((workload) => !gone.some((one) => one.id === workload.id));
  const deployment = nextRow(after, { left, status: assess(after, now), now });
  return {
    deployment: deployment === world.deployment ? null : deployment,
    wishChanged: wish !== world.deployment,
    rollout: rollout === world.rollout ? null : rollout,
    removed,
    gone,
    leaving: left.some((workload) => workload.removedAt !== null),
    ...effects(world, left, pace, now),
  };
}

/** Rolling back is a change of the wish: traffic belongs to the old revisions again. */
function nextWish({ deployment, rollout: before }: DeploymentWorld, rollout: Rollout | null, now: Instant): Deployment {
  if (!rollout || rollout.state !== 'rolling_back' || before?.state === 'rolling_back') return deployment;
  const spec = { ...deployment.spec, traffic: rollout.fromWeights };
  return { ...deployment, spec, generation: deployment.generation + 1, updatedAt: now };
}

function nextRow(
  { deployment }: DeploymentWorld,
  { left, status, now }: { left: readonly Workload[]; status: Status; now: Instant },
): Deployment {
  const goneAt = deployment.deletedAt !== null && left.length === 0 ? now : null;
  if (isSameStatus(deployment, status) && goneAt === deployment.goneAt) return deployment;
  return { ...deployment, ...status, goneAt, version: deployment.version + 1, updatedAt: now };
}

/** What the cluster does not know yet in this generation; and what has been out of the route table for long enough. */
function effects(world: DeploymentWorld, workloads: readonly Workload[], pace: LoopPace, now: Instant) {
  const { observed } = world;
  if (!observed) return { apply: [], remove: [] };
  const apply = workloads.filter((workload) => workload.removedAt === null && !isTold(world, workload));
  const remove = workloads.filter(
    ({ id, removedAt }) => removedAt !== null && observed.has(id) && now - removedAt >= pace.graceMs,
  );
  return { apply, remove: remove.map(({ id }) => id) };
}

/** A cluster that can be meddled with says what it was told; another spec, or one of which something is missing, is told again. */
function isTold({ observed, deployment, revisions, teamReplicaLimit }: DeploymentWorld, workload: Workload): boolean {
  const told = observed?.get(workload.id);
  if (!told || told.generation < workload.generation) return false;
  const revision = revisions.find(({ id }) => id === workload.revisionId);
  if (typeof told.specDigest !== 'string' || told.generation > workload.generation || !revision) return true;
  const spec = makeWorkloadSpec(deployment, revision, workload, { artifact: NO_ARTIFACT, teamReplicaLimit });
  return told.specDigest === workloadDigest(spec);
}

/** Workloads that serve no purpose any more. Those that got traffic until now stay until their successors can take it. */
function unneeded(world: DeploymentWorld): Workload[] {
  const { deployment, rollout } = world;
  const live = world.workloads.filter((workload) => workload.removedAt === null);
  if (deployment.deletedAt !== null) return live;
  const wanted = wantedRevisions(world);
  const idle = live.filter((workload) => !wanted.has(workload.revisionId));
  if (idle.length === 0 || (rollout?.endedAt === null && rollout.state === 'rolling_back')) return idle;
  const weighted = revisionIds(world, deployment.spec.traffic);
  return live
    .filter(({ revisionId }) => weighted.has(revisionId))
    .every((workload) => servingOf(world, workload.revisionId) >= workload.replicas)
    ? idle
    : [];
}

/** Revisions that get traffic, will get it, or may get it back. */
function wantedRevisions(world: DeploymentWorld): ReadonlySet<Id> {
  const { deployment, rollout } = world;
  const ids = new Set(revisionIds(world, deployment.spec.traffic));
  if (!rollout || rollout.endedAt !== null || rollout.state === 'draining' || rollout.state === 'rolling_back') return ids;
  for (const id of revisionIds(world, rollout.fromWeights)) ids.add(id);
  return ids.add(rollout.toRevisionId);
}

const revisionIds = ({ revisions }: DeploymentWorld, weights: readonly TrafficWeight[]): ReadonlySet<Id> =>
  new Set(
    revisions
      .filter(({ number }) => weights.some(({ revision, weight }) => revision === number && weight > 0))
      .map(({ id }) => id),
  );

const servingOf = ({ replicas }: DeploymentWorld, revisionId: Id): number =>
  replicas.filter((replica) => replica.revisionId === revisionId && isServing(replica)).length;

const isGone = ({ observed, replicas }: DeploymentWorld, workload: Workload): boolean =>
  workload.removedAt !== null &&
  !observed?.has(workload.id) &&
  !replicas.some((replica) => replica.workloadId === workload.id && isHeld(replica));

function rolloutFacts(world: DeploymentWorld, rollout: Rollout): RolloutFacts {
  const target = world.workloads.filter(({ revisionId, removedAt }) => revisionId === rollout.toRevisionId && removedAt === null);
  const keeps = rollout.state === 'rolling_back' ? revisionIds(world, rollout.fromWeights) : new Set([rollout.toRevisionId]);
  return {
    observed: world.observed !== null && world.deployment.deletedAt === null,
    told: target.every(({ id }) => world.observed?.has(id)),
    desired: target.reduce((all, { replicas }) => all + replicas, 0),
    serving: servingOf(world, rollout.toRevisionId),
    failing: target.map(({ id }) => world.failing.get(id)).find((reason) => reason !== undefined) ?? null,
    erring: world.erring.get(rollout.toRevisionId) ?? null,
    leftover: world.workloads.filter(({ revisionId }) => !keeps.has(revisionId)).length,
  };
}

function assess(world: DeploymentWorld, now: Instant): Status {
  const { deployment, replicas, rates, rollout } = world;
  const wanted = wantedRevisions(world);
  const routed = revisionIds(world, effectiveWeights(deployment.spec.traffic, rollout));
  const active = world.workloads.filter(({ revisionId, removedAt }) => wanted.has(revisionId) && removedAt === null);
  const serving = replicas.filter(isServing);
  const facts = {
    observed: world.observed !== null,
    desired: active.reduce((all, workload) => all + workload.replicas, 0),
    serving: serving.filter(({ workloadId }) => active.some(({ id }) => id === workloadId)).length,
    available: serving.filter(({ revisionId }) => routed.has(revisionId)).length,
    failing: active.map(({ id }) => world.failing.get(id)).find((reason) => reason !== undefined) ?? null,
    waiting: active.map(({ id }) => world.waiting.get(id)).find((reason) => reason !== undefined) ?? null,
    rollout,
    hourly: replicas.filter(isHeld).reduce((all, { offeringId }) => all + (rates.get(offeringId) ?? 0n), 0n),
  };
  return assessDeployment(deployment, facts, now);
}
