import { record } from '../events/event-log.ts';
import type { CapacityStore } from '../fleet/capacity-store.port.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Cluster, Pool } from '../fleet/cluster.ts';
import { poolChanged, poolScalingChanged } from '../fleet/node.events.ts';
import type { NodeStore } from '../fleet/node-store.port.ts';
import type { PoolScaling } from '../fleet/node.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Cause } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import { invariant } from '../kernel/invariant.ts';
import { splitByLargestRemainder } from '../kernel/money.ts';
import type { Random } from '../kernel/random.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { PricedOffering } from '../pricing/price-store.port.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import { CostModel, type PresentPlace } from '../scheduler/cost-model.ts';
import type { Demand, PlacementPolicy } from '../scheduler/demand.ts';
import { machinesFor } from '../scheduler/filter-offerings.ts';
import type { PlacedReplicas } from '../scheduler/fill-places.ts';
import type { OfferingIndex } from '../scheduler/offering-index.ts';
import type { PlaceFacts } from '../scheduler/place-facts.ts';
import { planPlacement, type Placement } from '../scheduler/plan-placement.ts';
import { meansAnyRegion } from '../scheduler/region-pattern.ts';
import type { MarketView } from './market.service.ts';
import type { PlacedPool } from './placement.ts';
import type { CurrentDeployment } from './plan-deployment.ts';
import type { Workload } from './replica.ts';
import {
  allowedOf,
  configOf,
  freeOf,
  growthOf,
  isGivenBack,
  isRentedFrom,
  makePool,
  NODE_OVERHEAD,
  poolFor,
  refusalsOf,
  rentableOf,
  sharedOn,
  sourcesOf,
  type AskedGrowth,
  type PoolsThere,
  type RentedCapacity,
  type Source,
} from './rented-pool.ts';
import { knownHourlyOf } from './workload-cost.ts';

export interface RentedPlacesDeps {
  readonly clusters: Pick<ClusterStore, 'pools' | 'rentedPools' | 'insertPool' | 'lockSources'>;
  readonly nodes: Pick<NodeStore, 'scalings' | 'saveScaling' | 'saveScalingStatus' | 'lockScaling' | 'presentNodes'>;
  readonly capacity: Pick<CapacityStore, 'answers'>;
  readonly prices: Pick<PricesService, 'priced'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** What is asked: what runs, under which policy, and where it is now. */
export interface PlacesQuestion {
  readonly clusters: readonly Cluster[];
  readonly format: string;
  /** At 0 replicas places are chosen as for one, and get none. */
  readonly replicas: number;
  readonly demand: Demand;
  readonly policy: PlacementPolicy;
  readonly market: MarketView;
  readonly current: CurrentDeployment | null;
  /** True: what is asked for differs from what was, so that staying is not the answer by itself. */
  readonly isAskedAnew: boolean;
}

export interface ChosenPlaces {
  readonly placement: Placement;
  readonly pools: readonly PlacedPool[];
}

interface World extends PlacesQuestion {
  readonly sources: readonly Source[];
  readonly there: PoolsThere;
  /** Pools where it is now. */
  readonly own: ReadonlySet<Id>;
  readonly facts: PlaceFacts;
}

/** Chooses among everything that clusters may rent, and makes the pools that it comes to. */
export class RentedPlaces {
  readonly #deps: RentedPlacesDeps;

  constructor(deps: RentedPlacesDeps) {
    this.#deps = deps;
  }

  /** Null = no cluster may rent in any region that is allowed. */
  async choose(tx: Transaction, question: PlacesQuestion): Promise<ChosenPlaces | null> {
    const sources = sourcesOf(question.clusters, question.format);
    if (!sources.some(({ source }) => meansAnyRegion(question.policy.regions, source.region))) return null;
    await this.#deps.clusters.lockSources(tx);
    const world = await this.#look(tx, question, sources);
    const present = presentOf(question.current, world.there);
    // Somewhere that nobody rents: it stays, as before.
    if (question.current && world.own.size > 0 && !isRented(question.current) && !question.isAskedAnew) return null;
    const { market, demand, policy } = question;
    const free = await this.#free(tx, world);
    const input = { demand, policy, candidates: market.index, facts: world.facts, free, present };
    const placement = planPlacement(input, this.#deps.clock.now());
    const kept = present && !question.isAskedAnew ? await this.#stay(tx, world) : null;
    const pools = kept ?? this.#pools(world, placement.places);
    return { placement: kept ? stayed(placement, kept) : placement, pools };
  }

  /** Makes the pools that are missing and lets the others grow as far as is needed. */
  async make(tx: Transaction, pools: readonly PlacedPool[], cause: Cause): Promise<void> {
    for (const { pool, rented } of pools) {
      if (!rented) continue;
      if (rented.isNew) {
        invariant(await this.#deps.clusters.insertPool(tx, pool, cause.principal), `pool ${pool.name} is made once`);
        record(tx, poolChanged(null, pool, cause));
      }
      await this.#allow(tx, pool, rented, cause);
    }
  }

  async #allow(tx: Transaction, pool: Pool, { scaling, machines }: RentedCapacity, cause: Cause): Promise<void> {
    const { nodes } = this.#deps;
    const before = await nodes.lockScaling(tx, pool.id);
    const isBack = before !== null && machines > 0 && isGivenBack(before);
    // It holds machines of its source again, and no more of them than are left.
    if (isBack) await nodes.saveScalingStatus(tx, { ...before, desiredNodes: null });
    if (before && (isBack ? before.maxNodes === scaling.maxNodes : before.maxNodes >= scaling.maxNodes)) return;
    const blank = { desiredNodes: null, scaledAt: null, conditions: [], emptying: null, emptiedAt: null, version: 0 };
    const known = before ?? blank;
    const after: PoolScaling = { ...known, ...scaling, poolId: pool.id, version: known.version + 1 };
    await nodes.saveScaling(tx, after, cause);
    record(tx, poolScalingChanged(before, after, { ...cause, pool }));
  }

  async #look(tx: Transaction, question: PlacesQuestion, sources: readonly Source[]): Promise<World> {
    const { clusters, nodes, capacity, clock } = this.#deps;
    const ids = [...new Set(sources.map(({ cluster }) => cluster.id))];
    const pools = await clusters.pools(tx, ids);
    const scalings = await nodes.scalings(
      tx,
      pools.map(({ id }) => id),
    );
    const gone = (await clusters.rentedPools(tx, ids)).filter(({ removedAt }) => removedAt !== null);
    const leaving = new Map(ids.map((id) => [id, new Set(gone.filter((one) => one.clusterId === id).map(({ name }) => name))]));
    const there = { pools, leaving, scalings: new Map(scalings.map((one) => [one.poolId, one])) };
    const own = new Set((question.current?.workloads ?? []).map(({ poolId }) => poolId));
    const isKubernetes = sources.some(({ cluster }) => cluster.kind === 'kubernetes');
    const facts = {
      ...question.market.places,
      rentable: rentableOf(sources, there, own),
      refusals: refusalsOf(await capacity.answers(tx), sources, clock.now()),
      ...(isKubernetes ? { overhead: NODE_OVERHEAD } : {}),
    };
    return { ...question, sources, there, own, facts };
  }

  async #free(tx: Transaction, { sources, demand, market: { index } }: World) {
    const nodes = [];
    for (const id of new Set(sources.map(({ cluster }) => cluster.id)))
      nodes.push(...(await this.#deps.nodes.presentNodes(tx, id)));
    const wanted = new Set(nodes.flatMap(({ offeringId }) => offeringId ?? []));
    return freeOf(nodes, offeringsIn(index, wanted), demand);
  }

  #pools(world: World, places: readonly PlacedReplicas[]): PlacedPool[] {
    const placed = places.map((place): Growing => {
      const replicas = world.replicas === 0 ? 0 : place.replicas;
      if (place.poolId !== null) return { placed: this.#withRoom(world, place, replicas), growth: null };
      const from = world.sources.find(({ key }) => key === place.source);
      invariant(from, `source ${place.source} of a place`);
      return this.#rented(world, from, place, replicas);
    });
    return withGrowth(world, placed);
  }

  #rented(world: World, from: Source, place: PlacedReplicas, replicas: number): Growing {
    const { there, own } = world;
    const { offering, zone, machines, cost } = place;
    const { name, pool: existing } = poolFor(from, { offering, zone }, there);
    const pool = existing ?? makePool(from, { name, offering }, { now: this.#deps.clock.now(), random: this.#deps.random });
    const before = allowedOf(there.scalings.get(pool.id));
    // What others that share the pool were allowed is not among what is left, and stays.
    const [others, its] = own.has(pool.id) ? [0, before] : [before, 0];
    const scaling = { provider: from.source.provider, config: configOf(from, offering, zone), minNodes: 0, maxNodes: others };
    const perMachine = sharedOn(world.demand.resources, offering, from.cluster.kind);
    const rented = { isNew: !existing, machines: world.replicas === 0 ? 0 : machines, zone, cost, scaling };
    return {
      placed: { pool, clusterName: from.cluster.name, replicas, perMachine, rented },
      growth: { source: from.key, before: its, machines },
    };
  }

  #withRoom({ there, clusters, demand }: World, { poolId, offering }: PlacedReplicas, replicas: number): PlacedPool {
    const pool = there.pools.find(({ id }) => id === poolId);
    const cluster = clusters.find(({ id }) => id === pool?.clusterId);
    invariant(pool && cluster, `pool ${poolId} of a place`);
    return { pool, clusterName: cluster.name, replicas, perMachine: sharedOn(demand.resources, offering, cluster.kind) };
  }

  /** Where it is, with its replicas shared out as they are; null = its pools are gone, or may not grow that far. */
  async #stay(tx: Transaction, world: World): Promise<PlacedPool[] | null> {
    const held = heldBy(world.current);
    const counts = splitByLargestRemainder(
      BigInt(world.replicas),
      held.map(({ poolId, replicas }) => ({ key: poolId, weight: BigInt(Math.max(1, replicas)) })),
    );
    const ids = held.map(({ offeringId }) => offeringId);
    const priced = new Map(
      (await this.#deps.prices.priced(tx, ids, this.#deps.clock.now())).map((one) => [one.offering.id, one]),
    );
    const placed = held.map(({ poolId, offeringId }) =>
      staysOn(world, { poolId, one: priced.get(offeringId), replicas: Number(counts.get(poolId) ?? 0n) }),
    );
    return placed.every((one) => one !== null) && hasRoom(world, placed) ? withGrowth(world, placed) : null;
  }
}

/** A place with the machines that its pool is to be allowed beyond what others have of it; null = its pool does not grow. */
interface Growing {
  readonly placed: PlacedPool;
  readonly growth: AskedGrowth | null;
}

const leftOf = ({ facts }: World): Map<string, number> =>
  new Map((facts.rentable ?? []).map(({ source, machines }) => [source, machines]));

/** True if sources have what their pools would grow by, all of them together. */
function hasRoom(world: World, places: readonly Growing[]): boolean {
  const left = leftOf(world);
  const bySource = Map.groupBy(
    places.flatMap(({ growth }) => growth ?? []),
    ({ source }) => source,
  );
  return [...bySource].every(
    ([source, all]) =>
      all.every(({ before, machines }) => machines <= before) ||
      all.reduce((sum, { before, machines }) => sum + Math.max(before, machines), 0) <= (left.get(source) ?? 0),
  );
}

function withGrowth(world: World, places: readonly Growing[]): PlacedPool[] {
  const asked = places.flatMap(({ growth }) => growth ?? []);
  const granted = growthOf(asked, leftOf(world));
  return places.map(({ placed, growth }): PlacedPool => {
    const { rented } = placed;
    if (!rented || !growth) return placed;
    const maxNodes = rented.scaling.maxNodes + (granted[asked.indexOf(growth)] ?? 0);
    return { ...placed, rented: { ...rented, scaling: { ...rented.scaling, maxNodes } } };
  });
}

interface Staying {
  readonly poolId: Id;
  readonly one: PricedOffering | undefined;
  readonly replicas: number;
}

/** Null = its pool, its price or what it may rent is gone, or it may not grow that far. */
function staysOn(world: World, { poolId, one, replicas }: Staying): Growing | null {
  const pool = world.there.pools.find(({ id }) => id === poolId);
  const scaling = world.there.scalings.get(poolId);
  const from = world.sources.find(
    (one) => one.cluster.id === pool?.clusterId && scaling !== undefined && isRentedFrom(one, scaling),
  );
  if (!pool || !scaling || !one?.price || !from) return null;
  const perMachine = sharedOn(world.demand.resources, one.offering, from.cluster.kind);
  const machines = machinesFor(replicas, perMachine);
  const cost = new CostModel(world.demand, null).parts(one.offering, one.price.effective, { replicas, machines });
  const { provider, config, minNodes } = scaling;
  const wanted = { provider, config, minNodes, maxNodes: 0 };
  const rented = { isNew: false, machines, zone: config['zone'] ?? '', cost, scaling: wanted };
  return {
    placed: { pool, clusterName: from.cluster.name, replicas, perMachine, rented },
    growth: { source: from.key, before: allowedOf(scaling), machines },
  };
}

/** The workloads of the newest revision: one per pool. */
function heldBy(current: CurrentDeployment | null): Workload[] {
  const workloads = current?.workloads ?? [];
  const [newest] = [...workloads].sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
  return workloads.filter(({ revisionId }) => revisionId === newest?.revisionId);
}

const isRented = ({ deployment: { spec } }: CurrentDeployment): boolean => (spec.placement.places ?? []).length > 0;

/** Null = it is nowhere, or where nothing is rented that clusters may still rent. */
function presentOf(current: CurrentDeployment | null, { scalings }: PoolsThere): PresentPlace | null {
  const held = heldBy(current).filter(({ poolId }) => scalings.has(poolId));
  if (!current || held.length === 0) return null;
  return { offeringIds: held.map(({ offeringId }) => offeringId), hourly: knownHourlyOf(held, current.rates) };
}

function offeringsIn({ candidates }: OfferingIndex, ids: ReadonlySet<Id>) {
  if (ids.size === 0) return new Map<Id, OfferingIndex['candidates'][number]['offering']>();
  return new Map(candidates.filter(({ offering }) => ids.has(offering.id)).map(({ offering }) => [offering.id, offering]));
}

/** The answer of a plan that stays: what is cheaper now is shown, and not taken. */
function stayed(placement: Placement, kept: readonly PlacedPool[]): Placement {
  const ids = new Set(kept.map(({ pool }: { readonly pool: Pool }) => pool.offeringId));
  const chosen = placement.best.find(({ offering }) => ids.has(offering.id)) ?? null;
  return { ...placement, chosen, wouldChange: [], contradiction: null };
}
