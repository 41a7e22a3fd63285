import { regionOf } from '../clouds/offering-key.ts';
import type { Offering } from '../clouds/offering.ts';
import { capacityKeyOf, isSameCapacity } from '../fleet/capacity-answer.ts';
import type { CapacityStore } from '../fleet/capacity-store.port.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Cluster, Pool } from '../fleet/cluster.ts';
import type { NodeStore } from '../fleet/node-store.port.ts';
import type { PoolScaling } from '../fleet/node.ts';
import type { Clock } from '../kernel/clock.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Random } from '../kernel/random.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { Deployment } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import type { LiveSpotWorld, SpotMemory } from './plan-live-spot.ts';
import type { Replica, Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import type { Rollout } from './rollout.ts';
import { sharedOn } from './rented-pool.ts';
import { isForbidden, sparePools, type SparePoolsQuestion } from './spare-pools.ts';
import { followedShares, type SpotShare } from './spot-shares.ts';
import { memoryKey, type SpotStore } from './spot-store.port.ts';
import { hourlyOfWorkloads, type MachineRates } from './workload-cost.ts';

export interface SpotWorldsDeps {
  readonly store: DeploymentStore;
  readonly spot: SpotStore;
  readonly capacity: Pick<CapacityStore, 'answers'>;
  readonly nodes: Pick<NodeStore, 'scalings'>;
  readonly clusters: Pick<ClusterStore, 'present' | 'pools'>;
  readonly prices: Pick<PricesService, 'priced'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** A share of a deployment with everything that its spread follows from. */
export interface Spread {
  readonly deployment: Deployment;
  /** Names it among the shares of its deployment. */
  readonly cluster: string;
  /** Of the whole deployment, those not removed, as they were read. */
  readonly live: readonly Workload[];
  readonly world: LiveSpotWorld;
}

/** What is the same for all deployments. */
interface Ground {
  readonly clusters: readonly Cluster[];
  readonly pools: readonly Pool[];
  readonly offerings: ReadonlyMap<Id, Offering>;
  readonly rates: MachineRates;
  readonly refused: ReadonlySet<Id>;
  readonly noticed: ReadonlyMap<Id, number>;
  /** By pool; absent = nobody knows it. */
  readonly zones: ReadonlyMap<Id, string>;
}

interface Owned {
  readonly deployment: Deployment;
  readonly rollout: Rollout | null;
  readonly revisions: readonly Revision[];
  readonly workloads: readonly Workload[];
  readonly replicas: readonly Replica[];
  readonly memories: ReadonlyMap<string, SpotMemory>;
}

/** Reads what the spread of deployments over spot and on-demand pools follows from. */
export class SpotWorlds {
  readonly #deps: SpotWorldsDeps;

  constructor(deps: SpotWorldsDeps) {
    this.#deps = deps;
  }

  /** Of these deployments, else of all that allow spot capacity: one statement that reads an index where there are none. */
  async read(tx: Transaction, only?: readonly Id[]): Promise<Spread[]> {
    const { store, spot } = this.#deps;
    const ids = only ?? (await spot.deploymentsOnSpot(tx));
    if (ids.length === 0) return [];
    const deployments = (await store.deploymentsByIds(tx, ids)).filter(({ deletedAt }) => deletedAt === null);
    const rollouts = new Map((await store.rollouts(tx, ids)).map((rollout) => [rollout.deploymentId, rollout]));
    const revisions = Map.groupBy(await store.revisions(tx, ids), ({ deploymentId }) => deploymentId);
    const workloads = Map.groupBy(await store.workloads(tx, ids), ({ deploymentId }) => deploymentId);
    const replicas = Map.groupBy(await store.replicas(tx, ids), ({ deploymentId }) => deploymentId);
    const memories = await spot.memories(tx, ids);
    const ground = await this.#ground(tx, [...workloads.values()].flat());
    return deployments.flatMap((deployment) => {
      const { id } = deployment;
      const rows = { revisions: revisions.get(id) ?? [], workloads: workloads.get(id) ?? [], replicas: replicas.get(id) ?? [] };
      return this.#spreadsOf({ deployment, rollout: rollouts.get(id) ?? null, ...rows, memories }, ground);
    });
  }

  async #ground(tx: Transaction, workloads: readonly Workload[]): Promise<Ground> {
    const { clusters: table, prices, nodes, spot, clock } = this.#deps;
    const clusters = await table.present(tx);
    const pools = await table.pools(
      tx,
      clusters.map(({ id }) => id),
    );
    const offeringIds = [
      ...workloads.map(({ offeringId }) => offeringId),
      ...pools.flatMap(({ offeringId }) => offeringId ?? []),
    ];
    const priced = await prices.priced(tx, [...new Set(offeringIds)], clock.now());
    const offerings = new Map(priced.map(({ offering }) => [offering.id, offering]));
    const rates = new Map(priced.flatMap(({ offering, price }) => (price ? [[offering.id, price.effective] as const] : [])));
    const poolIds = pools.map(({ id }) => id);
    const scalings = new Map((await nodes.scalings(tx, poolIds)).map((scaling) => [scaling.poolId, scaling]));
    const refused = await this.#refused(tx, { pools, offerings, scalings });
    return {
      clusters,
      pools,
      offerings,
      rates,
      refused,
      noticed: await spot.noticed(tx),
      zones: zonesOf(pools, offerings, scalings),
    };
  }

  #spreadsOf(owned: Owned, ground: Ground): Spread[] {
    const { deployment, workloads, memories } = owned;
    const { clusters, noticed, offerings, rates, refused, zones } = ground;
    const live = workloads.filter(({ removedAt }) => removedAt === null);
    const shares = followedShares({ ...owned, clusters, live });
    return shares.flatMap((share): Spread[] => {
      const limits = limitsOf(deployment, share, { live, rates });
      const pools = this.#poolsOf(share, owned, ground);
      if (!limits || !pools) return [];
      const facts = { noticed, offerings, rates, refused, ...pools };
      const others = live.filter(({ id, replicas }) => replicas > 0 && !share.workloads.some((own) => own.id === id));
      const spread = {
        minOnDemand: minOnDemandOf(deployment, share),
        zones: { of: zones, atLeast: deployment.spec.placement.policy?.zones ?? 1, elsewhere: zonesUsed(others, zones) },
      };
      const memory = memories.get(memoryKey(deployment.id, share.cluster)) ?? null;
      const world = { spec: limits, ...facts, replicas: owned.replicas, memory, ...spread };
      return [{ deployment, cluster: share.cluster, live, world }];
    });
  }

  /** Where its replicas are and where they could go, and where the policy does not have them any more; null = nothing of it is there. */
  #poolsOf({ workloads: own }: SpotShare, { deployment: { spec }, workloads, revisions }: Owned, ground: Ground) {
    const { clusters, pools, offerings } = ground;
    const [first] = own;
    const resources = revisions.find(({ id }) => id === first?.revisionId)?.spec.resources;
    if (!first || !resources) return null;
    const question = { spec, resources, workloads: own, clusters, pools, offerings };
    const used = new Set(workloads.map(({ poolId }) => poolId));
    const spare = sparePools(question).filter(({ id }) => !used.has(id));
    const forbidden = own.filter((workload) => isForbidden(workload, offerings.get(workload.offeringId), spec));
    const added = spare.map((pool) => this.#emptyWorkload(first, pool, question));
    return { workloads: [...own, ...added], forbidden: new Set(forbidden.map(({ poolId }) => poolId)) };
  }

  /** Of the same revision in a pool that it is not on: it is written once it gets replicas. */
  #emptyWorkload(like: Workload, pool: Pool, { spec, resources, clusters, offerings }: SparePoolsQuestion): Workload {
    const { clock, random } = this.#deps;
    const now = clock.now();
    const cluster = clusters.find(({ id }) => id === pool.clusterId);
    const offering = offerings.get(pool.offeringId ?? '');
    const isChosen = (spec.placement.places ?? []).some((one) => one.cluster === cluster?.name && one.pool === pool.name);
    const where = { clusterId: pool.clusterId, poolId: pool.id, poolName: pool.name, capacityType: pool.capacityType };
    return {
      ...like,
      ...{ id: newId(now, random), ...where, clusterName: cluster?.name ?? '', nodeSelector: pool.nodeSelector },
      ...{ offeringId: pool.offeringId ?? like.offeringId, replicas: 0, generation: 0 },
      perMachine: isChosen && offering ? sharedOn(resources, offering, cluster?.kind) : 1,
      ...{ createdAt: now, seenGeneration: null, seenProblem: null },
    };
  }

  /** Pools whose provider has nothing more of their kind. */
  async #refused(tx: Transaction, { pools, offerings, scalings }: Pick<Ground, 'pools' | 'offerings'> & Scalings) {
    const now = this.#deps.clock.now();
    const answers = (await this.#deps.capacity.answers(tx)).filter(({ until }) => now < until);
    const refused = pools.filter((pool) => {
      const scaling = scalings.get(pool.id);
      const key = scaling && capacityKeyOf(pool, scaling, offerings.get(pool.offeringId ?? '') ?? null);
      return key !== undefined && answers.some((answer) => isSameCapacity(answer.key, key));
    });
    return new Set(refused.map(({ id }) => id));
  }
}

interface Scalings {
  readonly scalings: ReadonlyMap<Id, PoolScaling>;
}

/** A pool that is rented for says in which zone; else what it is sold as may. */
function zonesOf(pools: readonly Pool[], offerings: Ground['offerings'], scalings: Scalings['scalings']): Map<Id, string> {
  const known = pools.flatMap(({ id, offeringId }): [Id, string][] => {
    const offering = offerings.get(offeringId ?? '');
    const zone = scalings.get(id)?.config['zone'] ?? offering?.zone ?? '';
    return offering && zone !== '' ? [[id, `${regionOf(offering)}/${zone}`]] : [];
  });
  return new Map(known);
}

const zonesUsed = (workloads: readonly Workload[], zones: ReadonlyMap<Id, string>): ReadonlySet<string> =>
  new Set(workloads.flatMap(({ poolId }) => zones.get(poolId) ?? []));

/** What the other shares of the deployment leave of its own limits; null = what they cost, nobody knows. */
function limitsOf(
  { spec }: Deployment,
  { replicas, workloads }: SpotShare,
  { live, rates }: { readonly live: readonly Workload[]; readonly rates: MachineRates },
): LiveSpotWorld['spec'] | null {
  const others = live.filter((one) => !workloads.includes(one));
  const hourly = hourlyOfWorkloads(others, rates);
  const count = others.reduce((all, one) => all + one.replicas, 0);
  return hourly === null
    ? null
    : { replicas, maxReplicas: spec.maxReplicas - count, maxSpendPerHour: spec.maxSpendPerHour - hourly };
}

/** Replicas that the wish never leaves to spot. */
const minOnDemandOf = ({ spec: { placement } }: Deployment, { replicas }: SpotShare): number =>
  Math.min(replicas, Math.ceil((replicas * (placement.policy?.minOnDemandPercent ?? 0)) / 100));
