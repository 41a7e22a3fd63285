import { record } from '../events/event-log.ts';
import type { CapacityStore } from '../fleet/capacity-store.port.ts';
import { isRentedFrom } from '../fleet/capacity-source.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Cluster, Pool } from '../fleet/cluster.ts';
import { poolChanged } from '../fleet/node.events.ts';
import type { NodeStore } from '../fleet/node-store.port.ts';
import type { ClusterNode } from '../fleet/node.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Cause } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import { invariant } from '../kernel/invariant.ts';
import { splitByLargestRemainder } from '../kernel/money.ts';
import type { Random } from '../kernel/random.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { AgreementsService } from '../pricing/agreements.service.ts';
import type { PricedOffering } from '../pricing/price-store.port.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import { CostModel, type PresentPlace } from '../scheduler/cost-model.ts';
import type { Demand, PlacementPolicy } from '../scheduler/demand.ts';
import { machinesFor } from '../scheduler/filter-offerings.ts';
import type { FreeCapacity, PlacedReplicas } from '../scheduler/fill-places.ts';
import type { LivedThrough } from '../scheduler/learned-risk.ts';
import type { OfferingIndex } from '../scheduler/offering-index.ts';
import type { PlaceFacts } from '../scheduler/place-facts.ts';
import { planPlacement, type Placement } from '../scheduler/plan-placement.ts';
import { meansAnyRegion } from '../scheduler/region-pattern.ts';
import type { MarketView } from './market.service.ts';
import type { PlacedPool } from './placement.ts';
import type { CurrentDeployment } from './plan-deployment.ts';
import { PoolPromises, type PoolPromisesDeps } from './pool-promises.service.ts';
import type { Workload } from './replica.ts';
import {
  configOf,
  freeOf,
  growthOf,
  livedThrough,
  machinesByPool,
  makePool,
  NODE_OVERHEAD,
  othersIn,
  paidRooms,
  poolFor,
  refusalsOf,
  rentableOf,
  sharedOn,
  sourcesOf,
  usedOf,
  type AskedGrowth,
  type PoolsThere,
  type Source,
} from './rented-pool.ts';
import type { SpotStore } from './spot-store.port.ts';
import { knownHourlyOf } from './workload-cost.ts';

export interface RentedPlacesDeps extends PoolPromisesDeps {
  readonly clusters: PoolPromisesDeps['clusters'] & Pick<ClusterStore, 'insertPool'>;
  readonly nodes: PoolPromisesDeps['nodes'] & Pick<NodeStore, 'presentNodes'>;
  readonly capacity: Pick<CapacityStore, 'answers'>;
  readonly prices: Pick<PricesService, 'priced'>;
  readonly agreements: Pick<AgreementsService, 'paid'>;
  readonly spot: Pick<SpotStore, 'deploymentsOnSpot' | 'memories'>;
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
  /** True: nothing is carried out, so that nobody has to wait for it. */
  readonly isShown: boolean;
}

export interface ChosenPlaces {
  readonly placement: Placement;
  readonly pools: readonly PlacedPool[];
}

interface World extends PlacesQuestion {
  readonly sources: readonly Source[];
  readonly there: PoolsThere;
  /** Its machines now, by pool. */
  readonly own: ReadonlyMap<Id, number>;
  readonly free: readonly FreeCapacity[];
  readonly facts: PlaceFacts;
}

/** Chooses among everything that clusters may rent, and makes the pools that it comes to. */
export class RentedPlaces {
  readonly #deps: RentedPlacesDeps;
  readonly #promises: PoolPromises;

  constructor(deps: RentedPlacesDeps) {
    this.#deps = deps;
    this.#promises = new PoolPromises(deps);
  }

  /** Null = no cluster may rent in any region that is allowed. */
  async choose(tx: Transaction, question: PlacesQuestion): Promise<ChosenPlaces | null> {
    const sources = sourcesOf(question.clusters, question.format);
    if (!sources.some(({ source }) => meansAnyRegion(question.policy.regions, source.region))) return null;
    const seen = await this.#look(tx, question, sources);
    const chosen = await this.#decide(tx, seen);
    if (question.isShown) return chosen;
    // Planned before anybody has to wait; once nobody else can take what it counts on, it is looked at again.
    await this.#deps.clusters.lockSources(tx);
    const world = await this.#look(tx, question, sources);
    return isSameWorld(seen, world) ? chosen : this.#decide(tx, world);
  }

  async #decide(tx: Transaction, world: World): Promise<ChosenPlaces | null> {
    const { current, isAskedAnew, market, demand, policy, facts, free } = world;
    const present = presentOf(current, world.there);
    // Somewhere that nobody rents: it stays, as before.
    if (current && world.own.size > 0 && !isRented(current) && !isAskedAnew) return null;
    const placement = planPlacement({ demand, policy, candidates: market.index, facts, free, present }, this.#deps.clock.now());
    const kept = present && !isAskedAnew ? await this.#stay(tx, world) : null;
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
      await this.#promises.allow(tx, pool, rented.scaling, cause);
    }
  }

  async #look(tx: Transaction, question: PlacesQuestion, sources: readonly Source[]): Promise<World> {
    const { capacity, clock } = this.#deps;
    const ids = [...new Set(sources.map(({ cluster }) => cluster.id))];
    const there = await this.#promises.look(tx, ids);
    const own = machinesByPool(question.current?.workloads ?? []);
    const isKubernetes = sources.some(({ cluster }) => cluster.kind === 'kubernetes');
    const facts = {
      ...question.market.places,
      rentable: rentableOf(sources, there, own),
      refusals: refusalsOf(await capacity.answers(tx), sources, clock.now()),
      ...(isKubernetes ? { overhead: NODE_OVERHEAD } : {}),
      learned: await this.#learned(tx, question.demand, there),
    };
    return { ...question, sources, there, own, facts, free: await this.#free(tx, { question, ids, there, own, facts }) };
  }

  /** By the records of deployments that the caller may see, from what is published on. */
  async #learned(tx: Transaction, { capacityTypes }: Demand, { pools }: PoolsThere): Promise<Map<Id, LivedThrough>> {
    if (!capacityTypes.includes('spot')) return new Map();
    const { spot } = this.#deps;
    const memories = await spot.memories(tx, await spot.deploymentsOnSpot(tx));
    return livedThrough(
      [...memories.values()].map(({ record: lived }) => lived),
      pools,
    );
  }

  async #free(
    tx: Transaction,
    {
      question: { market, demand },
      ids,
      there,
      own,
      facts,
    }: Pick<World, 'there' | 'own' | 'facts'> & { readonly question: PlacesQuestion; readonly ids: readonly Id[] },
  ): Promise<FreeCapacity[]> {
    const nodes: ClusterNode[] = [];
    for (const id of ids) nodes.push(...(await this.#deps.nodes.presentNodes(tx, id)));
    const paid = await this.#deps.agreements.paid(tx);
    const wanted = new Set([...nodes, ...paid].flatMap(({ offeringId }) => offeringId ?? []));
    const offerings = offeringsIn(market.index, wanted);
    return [
      ...freeOf(nodes, { offerings, machines: there.machines }, demand),
      ...paidRooms(paid, { offerings, used: usedOf(there, nodes, own), demand, facts }),
    ];
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
    const { offering, zone, cost } = place;
    const { name, pool: existing } = poolFor(from, { offering, zone }, there);
    const pool = existing ?? makePool(from, { name, offering }, { now: this.#deps.clock.now(), random: this.#deps.random });
    // What others that share the pool hold is not among what is left.
    const maxNodes = othersIn(there, own, pool);
    const scaling = { provider: from.source.provider, config: configOf(from, offering, zone), minNodes: 0, maxNodes };
    const perMachine = sharedOn(world.demand.resources, offering, from.cluster.kind);
    const machines = machinesFor(place.replicas, perMachine);
    const rented = { isNew: !existing, machines: world.replicas === 0 ? 0 : machines, zone, cost, scaling };
    return {
      placed: { pool, clusterName: from.cluster.name, replicas, perMachine, rented },
      growth: { source: from.key, before: own.get(pool.id) ?? 0, machines },
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
    (one) => one.cluster.id === pool?.clusterId && scaling !== undefined && isRentedFrom(one.source, scaling),
  );
  if (!pool || !scaling || !one?.price || !from) return null;
  const perMachine = sharedOn(world.demand.resources, one.offering, from.cluster.kind);
  const machines = machinesFor(replicas, perMachine);
  const cost = new CostModel(world.demand, null, world.facts.learned).parts(one.offering, one.price.effective, {
    replicas,
    machines,
  });
  const { provider, config, minNodes } = scaling;
  const wanted = { provider, config, minNodes, maxNodes: othersIn(world.there, world.own, pool) };
  const rented = { isNew: false, machines, zone: config['zone'] ?? '', cost, scaling: wanted };
  return {
    placed: { pool, clusterName: from.cluster.name, replicas, perMachine, rented },
    growth: { source: from.key, before: world.own.get(poolId) ?? 0, machines },
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

/** True if nothing that a plan follows from has changed between two looks. */
function isSameWorld(a: World, b: World): boolean {
  const told = ({ facts: { rentable, refusals }, free, there }: World): string =>
    JSON.stringify([rentable, refusals, free, there.pools, there.leaving, [...there.scalings.values()], [...there.machines]]);
  return told(a) === told(b);
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
