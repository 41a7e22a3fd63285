import { offeringKeyText } from '../clouds/offering-key.ts';
import type { Offering } from '../clouds/offering.ts';
import { canRun, DEFAULT_POOL, isLost, isUnreachable, type Cluster, type Pool } from '../fleet/cluster.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import { splitByLargestRemainder, type PicoUsdPerHour } from '../kernel/money.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { ChosenPlace, DeploymentSpec, PlacedCluster } from './deployment.ts';
import type { PlanPlace } from './plan.ts';
import { shareOf, type RentedCapacity } from './rented-pool.ts';
import type { Workload } from './replica.ts';
import { hourlyFor, machinesOf, sumOf } from './workload-cost.ts';

/** Where each revision that gets traffic has a workload, and of how many replicas. */
export interface PlacedPool {
  readonly pool: Pool;
  readonly clusterName: string;
  readonly replicas: number;
  /** Replicas that share one machine there; absent = each has its own. */
  readonly perMachine?: number;
  /** Machines are rented for it: its pool is made, or may grow so far. Absent = it is as it is. */
  readonly rented?: RentedCapacity;
}

/** The same with what a machine there is priced by. */
export interface PricedPool extends PlacedPool {
  readonly offeringId: Id;
  /** Of one machine; null = nobody knows it. */
  readonly price: PicoUsdPerHour | null;
}

/** Everything that may be chosen from. */
export interface Places {
  /** Those not removed, the first registered first. */
  readonly clusters: readonly Cluster[];
  readonly pools: readonly Pool[];
}

export interface PlacementQuestion extends Places {
  readonly spec: Pick<DeploymentSpec, 'placement' | 'replicas'>;
  /** What is to run. */
  readonly format: string;
  /** Of the same deployment, as they are. */
  readonly workloads: readonly Workload[];
}

/**
 * Pools for new replicas: of the clusters that the wish names, else where the deployment is, else of the first cluster that takes new
 * replicas and can run the format. Failures: NO_CAPACITY, NO_CONTAINER_RUNTIME, UNSUPPORTED, INVALID_INPUT.
 */
export function choosePools(question: PlacementQuestion): Result<PlacedPool[], Failure> {
  const named = standing(question);
  if (named.length === 0) return chooseOne(question);
  const counts = splitReplicas(question.spec.replicas, named);
  const placed: PlacedPool[] = [];
  for (const wish of named) {
    const found = namedPool(question, wish);
    if (!found.ok) return found;
    placed.push({ ...found.value, replicas: counts.get(wish.cluster) ?? 0 });
  }
  return ok(placed);
}

/** The clusters that a wish names; those that are lost stand for nothing as long as there are others. */
function standing({ spec, clusters }: Pick<PlacementQuestion, 'spec' | 'clusters'>): readonly PlacedCluster[] {
  const named = spec.placement.clusters ?? [];
  const left = named.filter(({ cluster }) => !clusters.some((one) => one.name === cluster && isLost(one)));
  return left.length > 0 ? left : named;
}

function namedPool(
  { clusters, pools, format, workloads }: PlacementQuestion,
  { cluster: name, pool }: PlacedCluster,
): Result<Omit<PlacedPool, 'replicas'>, Failure> {
  const cluster = clusters.find((one) => one.name === name);
  const isHere = workloads.some(({ clusterId }) => clusterId === cluster?.id);
  if (!cluster || (cluster.cordoned && !isHere))
    return err(failure('NO_CAPACITY', `No cluster ${name} takes new replicas.`, { path: ['input', 'clusters'] }));
  if (!canRun(cluster, format)) return err(cannotRun(cluster, format));
  const found = poolOf(pools, cluster.id, pool);
  return found
    ? ok({ pool: found, clusterName: name })
    : err(failure('NO_CAPACITY', `Cluster ${name} has no pool ${pool ?? DEFAULT_POOL}.`, { path: ['input', 'clusters'] }));
}

function chooseOne({ clusters, pools, format, workloads, spec }: PlacementQuestion): Result<PlacedPool[], Failure> {
  const open = clusters.filter(({ cordoned }) => !cordoned);
  const able = open.filter((cluster) => canRun(cluster, format));
  const [newest] = [...workloads].sort((a, b) => b.createdAt - a.createdAt);
  const here = able.find(({ id }) => id === newest?.clusterId);
  const cluster = here ?? able.find((one) => !isUnreachable(one)) ?? able[0];
  if (!cluster) return err(open[0] ? cannotRun(open[0], format) : failure('NO_CAPACITY', 'No cluster takes new replicas.'));
  const wanted = spec.placement.pool ?? pools.find(({ id }) => id === newest?.poolId && cluster === here)?.name;
  const pool = poolOf(pools, cluster.id, wanted);
  if (!pool) return err(failure('NO_CAPACITY', `Cluster ${cluster.name} has no pool ${wanted ?? DEFAULT_POOL}.`));
  return ok([{ pool, clusterName: cluster.name, replicas: spec.replicas }]);
}

const poolOf = (pools: readonly Pool[], clusterId: Id, name: string | undefined): Pool | undefined => {
  const its = pools.filter((pool) => pool.clusterId === clusterId);
  return name === undefined ? (its.find((pool) => pool.name === DEFAULT_POOL) ?? its[0]) : its.find((pool) => pool.name === name);
};

function cannotRun({ name, kind }: Cluster, format: string): Failure {
  if (format === 'container' && kind === 'local')
    return failure(
      'NO_CONTAINER_RUNTIME',
      'This machine has no container engine: deploy an ONNX model, or add a Kubernetes cluster.',
    );
  const hint = format === 'onnx' ? 'Register it with modelServerImage.' : 'Name another cluster.';
  return failure('UNSUPPORTED', `Cluster ${name} cannot run models of format ${format}.`, { hint });
}

/** Pools of an existing deployment under its wish: those named that still exist, else where it is. */
export function presentPools(question: Omit<PlacementQuestion, 'format'>): PlacedPool[] {
  const { clusters, pools, spec, workloads } = question;
  const chosen = chosenPools(question);
  if (chosen.length > 0) return chosen;
  const named = standing(question);
  const counts = splitReplicas(spec.replicas, named);
  const placed = named.flatMap((wish): PlacedPool[] => {
    const cluster = clusters.find(({ name }) => name === wish.cluster);
    const pool = cluster && poolOf(pools, cluster.id, wish.pool);
    return pool ? [{ pool, clusterName: wish.cluster, replicas: counts.get(wish.cluster) ?? 0 }] : [];
  });
  if (placed.length > 0) return placed;
  const [newest] = [...workloads].sort((a, b) => (a.id < b.id ? 1 : -1));
  const pool = pools.find(({ id }) => id === newest?.poolId);
  const clusterName = clusters.find(({ id }) => id === pool?.clusterId)?.name;
  return pool && clusterName !== undefined ? [{ pool, clusterName, replicas: spec.replicas }] : [];
}

/**
 * The same replicas on each cluster, shared out as they are: where replicas follow the spot market they are on pools that the wish does not name. As given
 * where there are none of these.
 */
export function spreadAsNow(
  placed: readonly PlacedPool[],
  { workloads, pools, spec }: Pick<PlacementQuestion, 'workloads' | 'pools' | 'spec'>,
): readonly PlacedPool[] {
  const live = workloads.filter(({ removedAt }) => removedAt === null);
  const newest = live.reduce<Workload | null>((a, b) => (a && a.createdAt >= b.createdAt ? a : b), null)?.revisionId;
  const held = live.filter((one) => one.revisionId === newest && one.replicas > 0 && isPlaced(spec, one));
  return [...Map.groupBy(placed, ({ pool }) => pool.clusterId)].flatMap(([clusterId, there]) => {
    const here = held.filter((one) => one.clusterId === clusterId);
    const added = here.flatMap(({ poolId, clusterName }): PlacedPool[] => {
      const pool = pools.find(({ id }) => id === poolId && !placed.some((place) => place.pool.id === id));
      return pool ? [{ pool, clusterName, replicas: 0 }] : [];
    });
    if (added.length === 0) return there;
    const weights = here.map(({ poolId, replicas }) => ({ key: poolId, weight: BigInt(replicas) }));
    const counts = splitByLargestRemainder(BigInt(replicasOf(there)), weights);
    return [...there, ...added].map((place) => ({ ...place, replicas: Number(counts.get(place.pool.id) ?? 0n) }));
  });
}

/** Of a wish whose pools were chosen: those that still exist, with the replicas shared out as they were. */
function chosenPools({ clusters, pools, spec }: Omit<PlacementQuestion, 'format'>): PlacedPool[] {
  const there = (spec.placement.places ?? []).flatMap((place) => {
    const cluster = clusters.find(({ name }) => name === place.cluster);
    const pool = pools.find(({ clusterId, name }) => clusterId === cluster?.id && name === place.pool);
    return pool ? [{ pool, clusterName: place.cluster, weight: place.weight }] : [];
  });
  const counts = splitPlaces(
    spec.replicas,
    there.map(({ pool, clusterName, weight }) => ({ cluster: clusterName, pool: pool.name, weight })),
  );
  return there.map(({ pool, clusterName }) => ({
    pool,
    clusterName,
    replicas: counts.get(placeKey({ cluster: clusterName, pool: pool.name })) ?? 0,
  }));
}

const placeKey = ({ cluster, pool }: Pick<ChosenPlace, 'cluster' | 'pool'>): string => `${cluster}/${pool}`;

/** Replicas of each chosen place, by `cluster/pool`. */
export function splitPlaces(replicas: number, places: readonly ChosenPlace[]): Map<string, number> {
  const weights = places.map((place) => ({ key: placeKey(place), weight: BigInt(Math.max(1, place.weight)) }));
  const parts = splitByLargestRemainder(BigInt(replicas), weights);
  return new Map([...parts].map(([key, count]) => [key, Number(count)]));
}

/**
 * Replicas by cluster. Those of the lowest order share them by weight, each at least one. Those of later orders wait for a failover: each
 * holds the part of the replicas that its weight is of the weights of the lowest order, at least one and at most all. Weight 0 holds none.
 */
export function splitReplicas(replicas: number, clusters: readonly PlacedCluster[]): Map<string, number> {
  const first = Math.min(...clusters.map(({ order }) => order));
  const active = clusters.filter(({ order }) => order === first);
  const sum = active.reduce((all, { weight }) => all + weight, 0);
  const parts = splitByLargestRemainder(
    BigInt(replicas),
    active.map(({ cluster, weight }) => ({ key: cluster, weight: BigInt(weight) })),
  );
  const share = ({ cluster, weight, order }: PlacedCluster): number => {
    if (replicas === 0 || weight === 0) return 0;
    if (order === first) return Math.max(1, Number(parts.get(cluster) ?? 0n));
    return Math.min(replicas, Math.max(1, Math.ceil((replicas * weight) / sum)));
  };
  return new Map(clusters.map((one) => [one.cluster, share(one)]));
}

/** True if the wish has the workload where it is; one that names no clusters, and for which none was chosen, has it anywhere. */
export const isPlaced = (
  { placement }: Pick<DeploymentSpec, 'placement'>,
  { clusterName, poolName }: Pick<Workload, 'clusterName' | 'poolName'>,
): boolean =>
  (placement.places ?? []).some(({ cluster, pool }) => cluster === clusterName && pool === poolName) ||
  ((placement.clusters ?? []).length === 0 && (placement.places ?? []).length === 0) ||
  (placement.clusters ?? []).some(({ cluster, pool }) => cluster === clusterName && (pool === undefined || pool === poolName));

/** The places as a plan tells them. */
export const placesOf = (pools: readonly PricedPool[], offerings: ReadonlyMap<Id, Offering>): PlanPlace[] =>
  pools.map((place) => {
    const { pool, clusterName, replicas, rented, offeringId } = place;
    const offering = offerings.get(offeringId);
    return {
      ...{ cluster: clusterName, pool: pool.name, offering: offering ? offeringKeyText(offering) : '', zone: rented?.zone ?? '' },
      ...{ replicas, machines: rented?.machines ?? null, hourly: hourlyFor(place, replicas) ?? 0n },
    };
  });

export const replicasOf = (pools: readonly PlacedPool[]): number => pools.reduce((all, { replicas }) => all + replicas, 0);

/** Null = the price of a pool that has replicas is not known. */
export const hourlyOf = (pools: readonly PricedPool[]): PicoUsdPerHour | null =>
  sumOf(pools.map((place) => hourlyFor(place, place.replicas)));

/** Of one replica of the first pool: its share of the machines. */
export function hourlyOfReplica([first]: readonly PricedPool[]): PicoUsdPerHour {
  if (!first || first.price === null) return 0n;
  const { price, perMachine = 1, replicas } = first;
  return replicas === 0 ? shareOf(price, 1, perMachine) : shareOf(price, machinesOf(first), replicas);
}
