import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { assessDeployment, isSameStatus, type Status } from './assess-deployment.ts';
import type { ObservedWorkload } from './cluster.port.ts';
import type { Deployment, TrafficWeight } from './deployment.ts';
import { isAsTold, makeWorkloadSpec, NO_ARTIFACT } from './make-workload-spec.ts';
import { isServing } from './observe-replicas.ts';
import { isPlaced } from './placement.ts';
import { isHeld, type Replica, type SeenProblem, type Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import { advanceRollout, effectiveWeights, paceOf, type Rollout, type RolloutFacts, type RolloutPace } from './rollout.ts';
import { wakeRolledBack } from './wake-rolled-back.ts';
import { knownHourlyOf } from './workload-cost.ts';

/** One deployment as wished and as seen, all that its loop needs. */
export interface DeploymentWorld {
  readonly deployment: Deployment;
  readonly revisions: readonly Revision[];
  /** The rollout under way, else the last one. */
  readonly rollout: Rollout | null;
  /** Every workload that is not gone, on every cluster. */
  readonly workloads: readonly Workload[];
  /** On every cluster; after the observation, given-up ones left out. */
  readonly replicas: readonly Replica[];
  /** The cluster whose loop this is: only there something is done. */
  readonly clusterId: Id;
  /** What that cluster was told before; null = it could not be seen just now. */
  readonly observed: ReadonlyMap<Id, ObservedWorkload> | null;
  /** Clusters that are known to be out of sight, by their rows: every loop decides from the same. */
  readonly unseen: ReadonlySet<Id>;
  /** True if the cluster is to be told everything again. */
  readonly retell: boolean;
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
  /** Workloads of this cluster as they are now; only those that changed. */
  readonly workloads: readonly Workload[];
  /** Those of them that had no replicas until their traffic came back. */
  readonly woken: readonly Workload[];
  /** What the cluster must be told, after the rows are written. */
  readonly apply: readonly Workload[];
  readonly remove: readonly Id[];
  /** True while workloads of this cluster wait to be drained or to be gone. */
  readonly leaving: boolean;
}

/**
 * The next step of one deployment as the loop of one cluster takes it: what is decided follows from all its clusters, what is done is
 * done on this one. Without an observation nothing is deleted, scaled or started again here. All effects are idempotent, and a plan
 * made again after a crash in the middle asks for the rest.
 */
export function planWorkloads(world: DeploymentWorld, pace: LoopPace, now: Instant): WorkloadsPlan {
  const rollout =
    world.rollout && advanceRollout(world.rollout, rolloutFacts(world, world.rollout), paceOf(pace, world.deployment.spec), now);
  const wish = nextWish(world, rollout, now);
  const after = { ...world, deployment: wish, rollout };
  const workloads = world.observed ? nextWorkloads(after, now) : world.workloads;
  const left = workloads.filter(({ goneAt }) => goneAt === null);
  const woken = wokenIn(after);
  const deployment = nextRow(after, { left, status: assess(after, now), now });
  return {
    deployment: deployment === world.deployment ? null : deployment,
    wishChanged: wish !== world.deployment,
    rollout: rollout === world.rollout ? null : rollout,
    workloads: workloads.filter((workload) => !world.workloads.includes(workload)),
    woken: workloads.filter((workload) => isHere(world, workload) && woken.has(workload.id)),
    leaving: left.some((workload) => workload.removedAt !== null && isHere(world, workload)),
    ...effects(world, left, pace, now),
  };
}

/** The same objects where nothing changes; only this cluster's change. */
function nextWorkloads(world: DeploymentWorld, now: Instant): Workload[] {
  const removed = new Set(unneeded(world).map(({ id }) => id));
  const woken = wokenIn(world);
  return world.workloads.map((workload) => {
    if (!isHere(world, workload)) return workload;
    const seen = withReplicas(asSeen(world, workload), woken.get(workload.id));
    const next = removed.has(workload.id) ? { ...seen, removedAt: now } : seen;
    return isGone(world, next) ? { ...next, goneAt: now } : next;
  });
}

const withReplicas = (workload: Workload, replicas: number | undefined): Workload =>
  replicas === undefined ? workload : { ...workload, replicas, generation: workload.generation + 1 };

function wokenIn(world: DeploymentWorld): ReadonlyMap<Id, number> {
  const { deployment, rollout, workloads, rates } = world;
  if (rollout?.state !== 'rolling_back' || deployment.deletedAt !== null) return new Map();
  const back = revisionIds(world, deployment.spec.traffic);
  const returning = wantedWorkloads(world).filter(({ revisionId }) => back.has(revisionId));
  const failed = workloads.filter(({ revisionId }) => revisionId === rollout.toRevisionId);
  return wakeRolledBack({ spec: deployment.spec, returning, failed, rates });
}

const isHere = ({ clusterId }: DeploymentWorld, workload: Workload): boolean => workload.clusterId === clusterId;
const isSeen = ({ unseen }: DeploymentWorld, workload: Workload): boolean => !unseen.has(workload.clusterId);

/** What loops of other clusters read of it. */
function asSeen(world: DeploymentWorld, workload: Workload): Workload {
  const seenGeneration = world.observed?.get(workload.id)?.generation ?? null;
  const seenProblem = problemOf(world, workload.id);
  const same = isSameProblem(workload.seenProblem, seenProblem);
  return same && seenGeneration === workload.seenGeneration ? workload : { ...workload, seenGeneration, seenProblem };
}

const isSameProblem = (a: SeenProblem | null, b: SeenProblem | null): boolean =>
  a?.message === b?.message && a?.failing === b?.failing;

function problemOf({ failing, waiting }: DeploymentWorld, id: Id): SeenProblem | null {
  const hopeless = failing.get(id);
  const message = hopeless ?? waiting.get(id);
  return message === undefined ? null : { message, failing: hopeless !== undefined };
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
  const { observed, retell } = world;
  if (!observed) return { apply: [], remove: [] };
  const here = workloads.filter((workload) => isHere(world, workload));
  const apply = here.filter((workload) => workload.removedAt === null && (retell || !isTold(world, workload)));
  const remove = here.filter(({ id, removedAt }) => removedAt !== null && observed.has(id) && now - removedAt >= pace.graceMs);
  return { apply, remove: remove.map(({ id }) => id) };
}

function isTold({ observed, deployment, revisions, teamReplicaLimit }: DeploymentWorld, workload: Workload): boolean {
  const told = observed?.get(workload.id);
  if (!told || told.generation < workload.generation) return false;
  const revision = revisions.find(({ id }) => id === workload.revisionId);
  if (!revision) return true;
  return isAsTold(told, makeWorkloadSpec(deployment, revision, workload, { artifact: NO_ARTIFACT, teamReplicaLimit }));
}

/** Workloads here that serve no purpose any more. Those that got traffic until now stay until their successors can take it. */
function unneeded(world: DeploymentWorld): Workload[] {
  const { deployment, rollout } = world;
  const live = world.workloads.filter((workload) => workload.removedAt === null);
  const here = live.filter((workload) => isHere(world, workload));
  if (deployment.deletedAt !== null) return here;
  const wanted = new Set(wantedWorkloads(world).map(({ id }) => id));
  const idle = here.filter(({ id }) => !wanted.has(id));
  if (idle.length === 0 || (rollout?.endedAt === null && rollout.state === 'rolling_back')) return idle;
  const weighted = revisionIds(world, deployment.spec.traffic);
  const taking = live.filter(({ id, revisionId }) => wanted.has(id) && weighted.has(revisionId));
  const seen = taking.filter((workload) => isSeen(world, workload));
  // Nobody knows whether the successors serve: what is left here may be all that does.
  if (taking.length > 0 && seen.length === 0) return [];
  return seen.every((workload) => servingOn(world, workload) >= workload.replicas) ? idle : [];
}

/** Live workloads of revisions that are wanted, where the wish has them; elsewhere only as long as the revision has no other. */
function wantedWorkloads(world: DeploymentWorld): Workload[] {
  const revisions = wantedRevisions(world);
  const wanted = world.workloads.filter(({ revisionId, removedAt }) => removedAt === null && revisions.has(revisionId));
  const placed = wanted.filter((workload) => isPlaced(world.deployment.spec, workload));
  return wanted.filter(
    (workload) => placed.includes(workload) || !placed.some(({ revisionId }) => revisionId === workload.revisionId),
  );
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

const servingOn = ({ replicas }: DeploymentWorld, { id }: Workload): number =>
  replicas.filter((replica) => replica.workloadId === id && isServing(replica)).length;

/** Replicas wished for, and how many of these serve: one too many here makes up for none missing there. */
const countsOf = (world: DeploymentWorld, workloads: readonly Workload[]) => ({
  desired: workloads.reduce((all, { replicas }) => all + replicas, 0),
  serving: workloads.reduce((all, workload) => all + Math.min(workload.replicas, servingOn(world, workload)), 0),
});

const isGone = ({ observed, replicas }: DeploymentWorld, workload: Workload): boolean =>
  workload.removedAt !== null &&
  !observed?.has(workload.id) &&
  !replicas.some((replica) => replica.workloadId === workload.id && isHeld(replica));

/** Only what can be seen counts: a rollout waits for no cluster that is out of sight, and moves nothing when all are. */
function rolloutFacts(world: DeploymentWorld, rollout: Rollout): RolloutFacts {
  const target = wantedWorkloads(world).filter(({ revisionId }) => revisionId === rollout.toRevisionId);
  const seen = target.filter((workload) => isSeen(world, workload));
  const keeps = rollout.state === 'rolling_back' ? revisionIds(world, rollout.fromWeights) : new Set([rollout.toRevisionId]);
  return {
    observed: world.deployment.deletedAt === null && (seen.length > 0 || (target.length === 0 && world.observed !== null)),
    told: seen.every((workload) => isKnown(world, workload)),
    lost: seen.some((workload) => isLost(world, workload)),
    ...countsOf(world, seen),
    failing: seen.map(({ id }) => world.failing.get(id)).find((reason) => reason !== undefined) ?? null,
    erring: world.erring.get(rollout.toRevisionId) ?? null,
    leftover: world.workloads.filter((workload) => isSeen(world, workload) && !keeps.has(workload.revisionId)).length,
  };
}

/** A workload of which only a part is left has no generation: it is as good as gone. */
const isKnown = (world: DeploymentWorld, workload: Workload): boolean =>
  wasKnown(
    world.observed && isHere(world, workload) ? (world.observed.get(workload.id)?.generation ?? null) : workload.seenGeneration,
  );

const wasKnown = (generation: number | null): boolean => generation !== null && generation > 0;

/** Its row says that the cluster knew it; the row that is written now says that it does not. */
const isLost = (world: DeploymentWorld, workload: Workload): boolean =>
  isHere(world, workload) && wasKnown(workload.seenGeneration) && !isKnown(world, workload);

/** Each workload with the replicas that hold their slot, whatever is wished there. */
function heldIn({ workloads, replicas }: DeploymentWorld) {
  const counts = Map.groupBy(replicas.filter(isHeld), ({ workloadId }) => workloadId);
  return [...counts].flatMap(([id, some]) => {
    const [one] = some;
    const perMachine = workloads.find((workload) => workload.id === id)?.perMachine ?? 1;
    return one ? [{ offeringId: one.offeringId, replicas: some.length, perMachine }] : [];
  });
}

function assess(world: DeploymentWorld, now: Instant): Status {
  const { deployment, replicas, rates, rollout, unseen } = world;
  const routed = revisionIds(world, effectiveWeights(deployment.spec.traffic, rollout));
  const active = wantedWorkloads(world);
  const seen = active.filter((workload) => isSeen(world, workload));
  const reasonIn = (reasons: ReadonlyMap<Id, string>): string | null =>
    seen.map(({ id }) => reasons.get(id)).find((reason) => reason !== undefined) ?? null;
  const facts = {
    observed: active.length === 0 ? !unseen.has(world.clusterId) : seen.length > 0,
    unseen: [...new Set(active.filter((workload) => !seen.includes(workload)).map(({ clusterName }) => clusterName))].sort(),
    desired: countsOf(world, active).desired,
    serving: countsOf(world, seen).serving,
    available: replicas.filter((one) => isServing(one) && routed.has(one.revisionId) && !unseen.has(one.clusterId)).length,
    failing: reasonIn(world.failing),
    waiting: reasonIn(world.waiting),
    rollout,
    hourly: knownHourlyOf(heldIn(world), rates),
  };
  return assessDeployment(deployment, facts, now);
}
