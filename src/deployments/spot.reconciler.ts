import type { Offering } from '../clouds/offering.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import { record } from '../events/event-log.ts';
import { capacityKeyOf, isSameCapacity } from '../fleet/capacity-answer.ts';
import type { CapacityStore } from '../fleet/capacity-store.port.ts';
import { isLost, isUnreachable, type Cluster, type Pool } from '../fleet/cluster.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { NodeStore } from '../fleet/node-store.port.ts';
import type { Clock } from '../kernel/clock.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Random } from '../kernel/random.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Lease } from '../persistence/lease.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import { replicasSpread } from './deployment.events.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import { planLiveSpot, type LiveSpotPlan, type LiveSpotWorld } from './plan-live-spot.ts';
import type { Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import type { Rollout } from './rollout.ts';
import { sparePools } from './spare-pools.ts';
import type { SpotStore } from './spot-store.port.ts';
import type { WishWriter } from './wish-writer.service.ts';

export interface SpotReconcilerDeps {
  readonly database: Database;
  readonly store: DeploymentStore;
  readonly spot: SpotStore;
  readonly capacity: Pick<CapacityStore, 'answers'>;
  readonly nodes: Pick<NodeStore, 'scalings'>;
  readonly clusters: Pick<ClusterStore, 'present' | 'pools' | 'lockPools'>;
  readonly prices: Pick<PricesService, 'priced'>;
  readonly writer: Pick<WishWriter, 'checkQuotas'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Null while another instance leads. */
  readonly lease: () => Lease | null;
}

/** A deployment with everything that its spread follows from. */
interface Spread {
  readonly deployment: Deployment;
  readonly world: LiveSpotWorld;
}

/** Null = this instance does not lead. */
export type SpotPassInput = { readonly lease: Lease; readonly spreads: readonly Spread[] } | null;
export type SpotPassPlan = {
  readonly lease: Lease;
  readonly steps: readonly (Spread & { readonly plan: LiveSpotPlan })[];
} | null;

const SCOPE: Scope = { kind: 'reconciler', loop: 'spot' };
const PRINCIPAL = 'reconciler:spot';

/** Spreads the replicas of every deployment that may use spot over its pools, as the market goes: one plan per pass, however many notices came. */
export class SpotReconciler implements Reconciliation<SpotPassInput, SpotPassPlan> {
  readonly #deps: SpotReconcilerDeps;

  constructor(deps: SpotReconcilerDeps) {
    this.#deps = deps;
  }

  async prepare(): Promise<SpotPassInput> {
    const lease = this.#deps.lease();
    if (!lease) return null;
    return { lease, spreads: await this.#deps.database.read(SCOPE, (tx) => this.#load(tx)) };
  }

  plan(input: SpotPassInput, now: Instant): SpotPassPlan {
    if (!input) return null;
    const steps = input.spreads.flatMap((spread) => {
      const plan = planLiveSpot(spread.world, now);
      return plan ? [{ ...spread, plan }] : [];
    });
    return { lease: input.lease, steps };
  }

  async execute(pass: SpotPassPlan, signal: AbortSignal): Promise<void> {
    if (!pass) return;
    for (const step of pass.steps) {
      signal.throwIfAborted();
      if (step.plan.changes.length === 0 && !step.plan.isNews) continue;
      await fencedWrite(this.#deps.database, { scope: SCOPE, lease: pass.lease }, (tx) => this.#write(tx, step));
    }
  }

  async #load(tx: Transaction): Promise<Spread[]> {
    const { store, spot, prices, clusters, clock } = this.#deps;
    const now = clock.now();
    const ids = await spot.deploymentsOnSpot(tx);
    if (ids.length === 0) return [];
    const deployments = (await store.deploymentsByIds(tx, ids)).filter(({ deletedAt }) => deletedAt === null);
    const rollouts = new Map((await store.rollouts(tx, ids)).map((rollout) => [rollout.deploymentId, rollout]));
    const revisions = Map.groupBy(await store.revisions(tx, ids), ({ deploymentId }) => deploymentId);
    const workloads = Map.groupBy(await store.workloads(tx, ids), ({ deploymentId }) => deploymentId);
    const replicas = Map.groupBy(await store.replicas(tx, ids), ({ deploymentId }) => deploymentId);
    const noticed = await spot.noticed(tx);
    const memories = await spot.memories(tx, ids);
    const present = await clusters.present(tx);
    const pools = await clusters.pools(
      tx,
      present.map((cluster) => cluster.id),
    );
    const offeringIds = [
      ...[...workloads.values()].flat().map(({ offeringId }) => offeringId),
      ...pools.flatMap(({ offeringId }) => offeringId ?? []),
    ];
    const priced = await prices.priced(tx, [...new Set(offeringIds)], now);
    const offerings = new Map(priced.map(({ offering }) => [offering.id, offering]));
    const rates = new Map(priced.flatMap(({ offering, price }) => (price ? [[offering.id, price.effective] as const] : [])));
    const refused = await this.#refused(tx, { pools, offerings }, now);
    return deployments.flatMap((deployment) => {
      const { id, spec } = deployment;
      const steadily = { deployment, rollout: rollouts.get(id) ?? null, revisions: revisions.get(id) ?? [], clusters: present };
      const own = steady(steadily, workloads.get(id) ?? []);
      const [first] = own;
      const resources = steadily.revisions.find((revision) => revision.id === first?.revisionId)?.spec.resources;
      if (!first || !resources) return [];
      const spare = sparePools({ spec, resources, workloads: workloads.get(id) ?? [], clusters: present, pools, offerings });
      const all = [...own, ...spare.map((pool) => this.#emptyWorkload(first, pool, present))];
      const facts = { replicas: replicas.get(id) ?? [], memory: memories.get(id) ?? null, minOnDemand: minOnDemandOf(spec) };
      return [{ deployment, world: { spec, workloads: all, ...facts, noticed, offerings, rates, refused } }];
    });
  }

  /** Of the same revision in a pool that it is not on: it is written once it gets replicas. */
  #emptyWorkload(like: Workload, pool: Pool, clusters: readonly Cluster[]): Workload {
    const { clock, random } = this.#deps;
    const now = clock.now();
    return {
      ...like,
      ...{
        id: newId(now, random),
        clusterId: pool.clusterId,
        poolId: pool.id,
        poolName: pool.name,
        capacityType: pool.capacityType,
      },
      clusterName: clusters.find(({ id }) => id === pool.clusterId)?.name ?? '',
      ...{ nodeSelector: pool.nodeSelector, offeringId: pool.offeringId ?? like.offeringId, replicas: 0, generation: 0 },
      ...{ createdAt: now, seenGeneration: null, seenProblem: null },
    };
  }

  /** Pools whose provider has nothing more of their kind. */
  async #refused(
    tx: Transaction,
    { pools, offerings }: { readonly pools: readonly Pool[]; readonly offerings: ReadonlyMap<Id, Offering> },
    now: Instant,
  ): Promise<ReadonlySet<Id>> {
    const { capacity, nodes } = this.#deps;
    const answers = (await capacity.answers(tx)).filter(({ until }) => now < until);
    if (answers.length === 0) return new Set();
    const ids = pools.map(({ id }) => id);
    const scalings = new Map((await nodes.scalings(tx, ids)).map((scaling) => [scaling.poolId, scaling]));
    const refused = pools.filter((pool) => {
      const scaling = scalings.get(pool.id);
      const key = scaling && capacityKeyOf(pool, scaling, offerings.get(pool.offeringId ?? '') ?? null);
      return key !== undefined && answers.some((answer) => isSameCapacity(answer.key, key));
    });
    return new Set(refused.map(({ id }) => id));
  }

  /** Everything of one deployment in one transaction; nothing but what is remembered if the wish changed meanwhile or a quota forbids more. */
  async #write(tx: Transaction, { deployment, world, plan }: Spread & { readonly plan: LiveSpotPlan }): Promise<void> {
    const { store, spot } = this.#deps;
    await store.lockTeam(tx, deployment.teamId);
    const locked = await store.lockDeployment(tx, deployment.id);
    if (locked?.version !== deployment.version) return;
    if (!(await this.#arePresent(tx, plan))) return;
    const changes = await this.#allowed(tx, deployment, { world, plan });
    const memory = changes === plan.changes ? plan.memory : { ...plan.memory, held: plan.here };
    if (plan.isNews || changes.length > 0)
      await spot.saveMemory(tx, { deploymentId: deployment.id, teamId: deployment.teamId }, memory);
    if (changes.length > 0) await this.#spread(tx, deployment, { world, plan, changes });
  }

  /** Pools that it was not on could be taken out meanwhile: whoever places something there has them first. */
  async #arePresent(tx: Transaction, { changes }: LiveSpotPlan): Promise<boolean> {
    const added = changes.filter(({ workload }) => workload.generation === 0).map(({ workload }) => workload.poolId);
    if (added.length === 0) return true;
    return (await this.#deps.clusters.lockPools(tx, added, 'use')).length === added.length;
  }

  /** Where a quota forbids more, nothing is changed. */
  async #allowed(
    tx: Transaction,
    { id, teamId, projectId }: Deployment,
    { world, plan }: { readonly world: LiveSpotWorld; readonly plan: LiveSpotPlan },
  ): Promise<LiveSpotPlan['changes']> {
    const after = countsAfter(world.workloads, plan.changes);
    const wanted = { replicas: sumOf(after), hourly: hourlyOf(after, world.rates) };
    const now = countsAfter(world.workloads, []);
    if (wanted.replicas <= sumOf(now) && wanted.hourly <= hourlyOf(now, world.rates)) return plan.changes;
    const refused = await this.#deps.writer.checkQuotas(tx, { teamId, projectId, deploymentId: id }, wanted);
    if (!refused) return plan.changes;
    this.#deps.logger.warn({ deployment: id, why: refused.message }, 'a quota keeps replicas from being spread anew');
    return [];
  }

  async #spread(
    tx: Transaction,
    before: Deployment,
    {
      world,
      plan,
      changes,
    }: { readonly world: LiveSpotWorld; readonly plan: LiveSpotPlan; readonly changes: LiveSpotPlan['changes'] },
  ): Promise<void> {
    const { store, decisions, clock } = this.#deps;
    const at = clock.now();
    for (const { workload, replicas } of changes)
      await store.saveWorkload(tx, { ...workload, replicas, generation: workload.generation + 1 });
    const after = { ...before, version: before.version + 1, updatedAt: at };
    invariant(await store.updateDeployment(tx, after, before.version), 'a locked deployment keeps its version');
    const now = countsAfter(world.workloads, changes);
    const pools = now.map(({ workload: { clusterName, poolName, capacityType }, replicas }) => ({
      ...{ cluster: clusterName, pool: poolName, capacityType, replicas },
    }));
    const from = world.workloads.map(({ poolName, replicas }) => ({ pool: poolName, replicas }));
    record(tx, replicasSpread({ deployment: after, from, to: pools, reasons: plan.reasons, at, principal: PRINCIPAL }));
    await decisions.record(tx, {
      ...{ teamId: before.teamId, projectId: before.projectId, deploymentId: before.id, kind: 'place_spot' },
      ...{ subjectKind: 'Deployment', subjectId: before.id, at, principal: PRINCIPAL, candidates: [], rejected: {} },
      inputs: { replicas: before.spec.replicas, from, leaving: leavingOf(world), refused: [...world.refused].sort() },
      ...{ chosen: { pools }, reasons: plan.reasons.length > 0 ? [...plan.reasons] : ['The cheapest mix that is safe enough.'] },
      expectedHourly: hourlyOf(now, world.rates),
    });
  }
}

interface Steadily {
  readonly deployment: Deployment;
  readonly rollout: Rollout | null;
  readonly revisions: readonly Revision[];
  readonly clusters: readonly Cluster[];
}

/**
 * Workloads of the one revision that has all traffic; none while a rollout is under way, where the wish itself shares replicas out over clusters (some of
 * them stand by), and while a cluster is out of sight: whether its replicas serve, nobody knows.
 */
function steady({ deployment, rollout, revisions, clusters }: Steadily, workloads: readonly Workload[]): Workload[] {
  const { traffic, placement } = deployment.spec;
  const [only, ...others] = traffic.filter(({ weight }) => weight > 0);
  if (!only || others.length > 0 || (rollout !== null && rollout.endedAt === null)) return [];
  if (new Set((placement.clusters ?? []).map(({ cluster }) => cluster)).size > 1) return [];
  const live = workloads.filter(({ removedAt }) => removedAt === null);
  const seen = clusters.filter((cluster) => !isLost(cluster) && !isUnreachable(cluster)).map(({ id }) => id);
  if (!live.every(({ clusterId }) => seen.includes(clusterId))) return [];
  const revision = revisions.find(({ number }) => number === only.revision);
  return live.every(({ revisionId }) => revisionId === revision?.id) ? live : [];
}

/** Replicas that the wish never leaves to spot. */
const minOnDemandOf = ({ replicas, placement: { policy } }: Deployment['spec']): number =>
  Math.min(replicas, Math.ceil((replicas * (policy?.minOnDemandPercent ?? 0)) / 100));

const leavingOf = ({ workloads, noticed }: LiveSpotWorld): number =>
  workloads.reduce((all, { id }) => all + (noticed.get(id) ?? 0), 0);

type Counts = readonly { readonly workload: Workload; readonly replicas: number }[];

const countsAfter = (workloads: readonly Workload[], changes: LiveSpotPlan['changes']): Counts =>
  workloads.map((workload) => {
    const change = changes.find((one) => one.workload.id === workload.id);
    return { workload, replicas: change?.replicas ?? workload.replicas };
  });

const sumOf = (counts: Counts): number => counts.reduce((all, { replicas }) => all + replicas, 0);

const hourlyOf = (counts: Counts, rates: ReadonlyMap<Id, PicoUsdPerHour>): PicoUsdPerHour =>
  counts.reduce((all, { workload, replicas }) => all + (rates.get(workload.offeringId) ?? 0n) * BigInt(replicas), 0n);
