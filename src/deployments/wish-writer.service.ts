import type { DecisionsService } from '../decisions/decisions.service.ts';
import { record } from '../events/event-log.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Cause, EventDraft } from '../kernel/event.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Random } from '../kernel/random.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Offering } from '../clouds/offering.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Cluster } from '../fleet/cluster.ts';
import type { QuotaQuestion, QuotasService } from '../identity/quotas.service.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { Peak } from './broken-guard.ts';
import type { Deployment } from './deployment.ts';
import { deploymentChanged, rolloutChanged, scalingChanged } from './deployment.events.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import { wishDiffers, type CurrentDeployment } from './plan-deployment.ts';
import type { Shortage } from './plan-preemption.ts';
import { PoolPromises, type MachineClaim, type PoolPromisesDeps } from './pool-promises.service.ts';
import { Preemption, type Claimant } from './preemption.service.ts';
import { presentPools, spreadAsNow, type PlacedPool, type PricedPool } from './placement.ts';
import { sharedOn } from './rented-pool.ts';
import type { Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import { effectiveWeights, supersede, type Rollout } from './rollout.ts';

export interface WishWriterDeps {
  readonly store: DeploymentStore;
  readonly clusters: PoolPromisesDeps['clusters'] & Pick<ClusterStore, 'present'>;
  readonly nodes: PoolPromisesDeps['nodes'];
  readonly prices: Pick<PricesService, 'priced' | 'ratesAt'>;
  readonly quotas: Pick<QuotasService, 'check' | 'shortages'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** A wish that has been decided and only needs to be written. */
export interface WishChange {
  readonly current: CurrentDeployment | null;
  /** With the new spec and generation; its version is set here. */
  readonly next: Deployment;
  /** Every revision that the new wish sends traffic to. */
  readonly revisions: readonly Revision[];
  /** The one of them that does not exist yet. */
  readonly newRevision: Revision | null;
  /** The revision that a rollout goes to; null = none is needed. */
  readonly rolloutTo: Revision | null;
  /** Where each of these revisions has a workload, and what that is priced by. */
  readonly pools: readonly PricedPool[];
  readonly principal: string;
}

/** Whose quotas are asked for; what the deployment itself holds is left out. */
export interface QuotaOwner {
  readonly teamId: Id;
  readonly projectId: Id;
  readonly deploymentId: Id | null;
}

/** Writes a wish with everything that follows from it, in the caller's transaction. */
export class WishWriter {
  readonly #deps: WishWriterDeps;
  readonly #preemption: Preemption;
  readonly #promises: PoolPromises;

  constructor(deps: WishWriterDeps) {
    this.#deps = deps;
    this.#preemption = new Preemption(deps);
    this.#promises = new PoolPromises(deps);
  }

  /** The deployment with all that decisions about it need. */
  async load(tx: Transaction, deployment: Deployment): Promise<CurrentDeployment> {
    const { store, prices, clock } = this.#deps;
    const revisions = await store.revisions(tx, [deployment.id]);
    const [rollout = null] = await store.rollouts(tx, [deployment.id]);
    const workloads = (await store.workloads(tx, [deployment.id])).filter(({ removedAt }) => removedAt === null);
    const rates = await prices.ratesAt(
      tx,
      workloads.map(({ offeringId }) => offeringId),
      clock.now(),
    );
    return { deployment, revisions, rollout, workloads, rates };
  }

  /** Where its replicas are under a wish, and what they are priced by: revisions of one deployment share them. */
  async pools(tx: Transaction, { id, spec }: Deployment): Promise<PricedPool[]> {
    const { store, clusters: table, prices, clock } = this.#deps;
    const workloads = await store.workloads(tx, [id]);
    const clusters = await table.present(tx);
    const clusterIds = clusters.map((cluster) => cluster.id);
    const pools = await table.pools(tx, clusterIds);
    const present = presentPools({ clusters, pools, spec, workloads });
    const placed = spreadAsNow(present, { workloads, pools, spec }).flatMap((place) => {
      const same = workloads.findLast(({ poolId }) => poolId === place.pool.id);
      const offeringId = same?.offeringId ?? place.pool.offeringId ?? workloads.at(-1)?.offeringId;
      return offeringId === undefined ? [] : [{ ...place, offeringId }];
    });
    const priced = await prices.priced(tx, [...new Set(placed.map(({ offeringId }) => offeringId))], clock.now());
    const revisions = await store.revisions(tx, [id]);
    return placed.map((place) => {
      const one = priced.find(({ offering }) => offering.id === place.offeringId);
      const perMachine = sharedBy(place, { spec, workloads, revisions, clusters, offering: one?.offering ?? null });
      return { ...place, price: one?.price?.effective ?? null, perMachine };
    });
  }

  /** The first quota that this many replicas at this price would break; the team must be locked. */
  async checkQuotas(tx: Transaction, owner: QuotaOwner, wanted: Peak): Promise<Failure | null> {
    const questions = await this.#questions(tx, owner, wanted);
    if (await this.#isUnpriced(tx, questions)) return unpriced();
    for (const question of questions) {
      const refused = await this.#deps.quotas.check(tx, question);
      if (refused) return refused;
    }
    return null;
  }

  /** Null = pools may grow as far as its replicas need, now and once it is written; see `PoolPromises.claim`. The last check: others wait for it. */
  claim(tx: Transaction, machines: MachineClaim, cause: Cause | null): Promise<Failure | null> {
    return this.#promises.claim(tx, machines, cause);
  }

  /** The same, but replicas of lower priority give way first where that is enough. */
  async makeRoom(tx: Transaction, owner: QuotaOwner & Claimant, wanted: Peak): Promise<Failure | null> {
    const refused = await this.checkQuotas(tx, owner, wanted);
    if (!refused) return null;
    const shortages: Shortage[] = [];
    const questions = await this.#questions(tx, owner, wanted);
    // How many would have to give way for what has no price, nobody knows.
    if (await this.#isUnpriced(tx, questions)) return refused;
    for (const question of questions)
      for (const shortage of await this.#deps.quotas.shortages(tx, question))
        shortages.push({ ...shortage, resource: question.resource });
    return (await this.#preemption.giveWay(tx, shortages, owner)) ? this.checkQuotas(tx, owner, wanted) : refused;
  }

  /** True if there is a quota of something of which nobody knows how much is held or wanted. */
  async #isUnpriced(tx: Transaction, questions: readonly (QuotaQuestion & { readonly isKnown: boolean })[]): Promise<boolean> {
    for (const question of questions) {
      if (question.isKnown) continue;
      if ((await this.#deps.quotas.shortages(tx, { ...question, wanted: BEYOND_ANY_QUOTA })).length > 0) return true;
    }
    return false;
  }

  async #questions(tx: Transaction, { teamId, projectId, deploymentId }: QuotaOwner, wanted: Peak) {
    const { store, prices, clock } = this.#deps;
    const held = await store.heldCapacity(tx, teamId, deploymentId);
    const rates = await prices.ratesAt(
      tx,
      held.map(({ offeringId }) => offeringId),
      clock.now(),
    );
    const isKnown = wanted.hourly !== null && held.every(({ offeringId, machines }) => machines === 0 || rates.has(offeringId));
    const spend = held.map(({ projectId: project, offeringId, machines }) => ({
      projectId: project,
      amount: (rates.get(offeringId) ?? 0n) * BigInt(machines),
    }));
    const counts = held.map(({ projectId: project, replicas }) => ({ projectId: project, amount: BigInt(replicas) }));
    const place = { teamId, projectId };
    return [
      { ...place, resource: 'replicas' as const, use: useOf(counts, projectId), wanted: BigInt(wanted.replicas), isKnown: true },
      { ...place, resource: 'spend_per_hour' as const, use: useOf(spend, projectId), wanted: wanted.hourly ?? 0n, isKnown },
    ];
  }

  /** Writes the wish, its history, revision, workloads, rollout and events. The rows must be locked. */
  async save(tx: Transaction, change: WishChange): Promise<Deployment> {
    const { current, newRevision, principal } = change;
    const events: EventDraft[] = [];
    const next = await this.#saveDeployment(tx, change, events);
    if (newRevision) await this.#deps.store.insertRevision(tx, newRevision);
    const workloads = await this.#deps.store.workloads(tx, [next.id]);
    for (const revision of change.revisions)
      for (const place of change.pools) await this.#saveWorkload(tx, next, { revision, place, workloads });
    if (change.rolloutTo) await this.#startRollout(tx, { ...change, next }, events);
    else if (current?.rollout && next.deletedAt !== null)
      await this.#endRollout(tx, current.rollout, { next, principal }, events);
    record(tx, ...events);
    return next;
  }

  async #saveDeployment(tx: Transaction, { current, next, principal }: WishChange, events: EventDraft[]): Promise<Deployment> {
    const { store } = this.#deps;
    const before = current?.deployment ?? null;
    const cause = { at: next.updatedAt, principal };
    const scaled = before !== null && before.spec.replicas !== next.spec.replicas;
    const onlyScaled = scaled && !wishDiffers({ ...before.spec, replicas: next.spec.replicas }, next.spec);
    let row = { ...next, version: before?.version ?? 0 };
    if (!onlyScaled) events.push(deploymentChanged(before, (row = { ...row, version: row.version + 1 }), cause));
    if (scaled) events.push(scalingChanged(before, (row = { ...row, version: row.version + 1 }), cause));
    if (before === null) await store.insertDeployment(tx, row);
    else invariant(await store.updateDeployment(tx, row, before.version), 'a locked deployment keeps its version');
    await store.appendWish(tx, row, principal);
    return row;
  }

  /** A workload of the revision in the pool, with its replicas: the one there is, one that was just given up, or a new one. */
  async #saveWorkload(
    tx: Transaction,
    { id: deploymentId, teamId, projectId }: Deployment,
    {
      revision,
      place,
      workloads,
    }: { readonly revision: Revision; readonly place: PricedPool; readonly workloads: readonly Workload[] },
  ): Promise<void> {
    const { store, clock, random } = this.#deps;
    const { pool, clusterName, replicas, offeringId, perMachine = 1 } = place;
    const existing = workloads.find(({ revisionId, poolId }) => revisionId === revision.id && poolId === pool.id);
    if (existing?.removedAt === null && existing.replicas === replicas && (existing.perMachine ?? 1) === perMachine) return;
    const now = clock.now();
    const where = { clusterId: pool.clusterId, clusterName, poolId: pool.id, poolName: pool.name };
    const fresh: Workload = {
      ...{ id: newId(now, random), teamId, projectId, deploymentId, revisionId: revision.id, ...where, offeringId },
      ...{ capacityType: pool.capacityType, nodeSelector: pool.nodeSelector, replicas: 0, generation: 0 },
      ...{ createdAt: now, removedAt: null, goneAt: null, seenGeneration: null, seenProblem: null },
    };
    const workload = existing ?? fresh;
    await store.saveWorkload(tx, { ...workload, replicas, perMachine, generation: workload.generation + 1, removedAt: null });
  }

  async #startRollout(tx: Transaction, change: WishChange, events: EventDraft[]): Promise<void> {
    const { store, clock, random } = this.#deps;
    const { current, next, rolloutTo, principal } = change;
    invariant(rolloutTo, 'a rollout goes somewhere');
    const fromWeights = current
      ? effectiveWeights(current.deployment.spec.traffic, current.rollout).filter(({ weight }) => weight > 0)
      : [];
    if (current?.rollout) await this.#endRollout(tx, current.rollout, { next, principal }, events);
    if (current) await this.#giveUpUnused(tx, current, change.revisions);
    const heaviest = [...fromWeights].sort((a, b) => b.weight - a.weight)[0];
    const now = clock.now();
    const rollout: Rollout = {
      id: newId(now, random),
      teamId: next.teamId,
      projectId: next.projectId,
      deploymentId: next.id,
      fromRevisionId: current?.revisions.find(({ number }) => number === heaviest?.revision)?.id ?? null,
      toRevisionId: rolloutTo.id,
      toRevision: rolloutTo.number,
      fromWeights,
      state: 'starting',
      step: 0,
      stepStartedAt: now,
      reason: null,
      startedAt: now,
      endedAt: null,
      version: 1,
    };
    await store.saveRollout(tx, rollout, principal);
    events.push(rolloutChanged(null, rollout, next, { at: now, principal }));
  }

  /** A revision that a superseded rollout went to and that no request was sent to yet makes room at once: both must not count. */
  async #giveUpUnused(tx: Transaction, current: CurrentDeployment, wanted: readonly Revision[]): Promise<void> {
    const { rollout, deployment, revisions, workloads } = current;
    if (!rollout || rollout.endedAt !== null) return;
    const left = revisions.find(({ id }) => id === rollout.toRevisionId);
    const routed = effectiveWeights(deployment.spec.traffic, rollout).filter(({ weight }) => weight > 0);
    if (!left || routed.some(({ revision }) => revision === left.number) || wanted.some(({ id }) => id === left.id)) return;
    const removedAt = this.#deps.clock.now();
    for (const workload of workloads)
      if (workload.revisionId === left.id) await this.#deps.store.saveWorkload(tx, { ...workload, removedAt });
  }

  async #endRollout(
    tx: Transaction,
    rollout: Rollout,
    { next, principal }: { readonly next: Deployment; readonly principal: string },
    events: EventDraft[],
  ): Promise<void> {
    if (rollout.endedAt !== null) return;
    const now = this.#deps.clock.now();
    const after = supersede(rollout, now);
    await this.#deps.store.saveRollout(tx, after, principal);
    events.push(rolloutChanged(rollout, after, next, { at: now, principal }));
  }
}

/** More than any quota: what nobody knows the price of may cost anything. */
const BEYOND_ANY_QUOTA = 10n ** 38n;

const unpriced = (): Failure =>
  failure('QUOTA_EXCEEDED', 'There is a quota of spend_per_hour, and the price of something that runs is not known.', {
    hint: 'An administrator can set its price.',
  });

interface Sharing {
  readonly spec: Deployment['spec'];
  readonly workloads: readonly Workload[];
  readonly revisions: readonly Revision[];
  readonly clusters: readonly Cluster[];
  readonly offering: Offering | null;
}

/** Replicas of any revision that may be there that share one machine: where several differ, the dearest counts. Only where machines were chosen. */
function sharedBy(place: PlacedPool, { spec, workloads, revisions, clusters, offering }: Sharing): number {
  const live = workloads.filter(({ removedAt }) => removedAt === null);
  const isChosen =
    (spec.placement.places ?? []).some(({ cluster, pool }) => cluster === place.clusterName && pool === place.pool.name) ||
    live.some(({ poolId, perMachine = 1 }) => poolId === place.pool.id && perMachine > 1);
  if (!isChosen || !offering) return 1;
  const kind = clusters.find(({ id }) => id === place.pool.clusterId)?.kind;
  const counted = revisions.filter(
    ({ id, number }) =>
      spec.traffic.some(({ revision, weight }) => revision === number && weight > 0) ||
      live.some(({ revisionId }) => revisionId === id),
  );
  return Math.min(...counted.map(({ spec: { resources } }) => sharedOn(resources, offering, kind)), Infinity) || 1;
}

function useOf(held: readonly { readonly projectId: Id; readonly amount: bigint }[], projectId: Id) {
  const sum = (some: readonly { readonly amount: bigint }[]) => some.reduce((all, { amount }) => all + amount, 0n);
  return { team: sum(held), project: sum(held.filter((one) => one.projectId === projectId)) };
}
