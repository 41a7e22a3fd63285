import type { Offering } from '../clouds/offering.ts';
import { isRentedFrom, nameOfRegion } from '../fleet/capacity-source.ts';
import { canRun, isLost, isUnreachable, type CapacitySource, type Cluster, type Pool } from '../fleet/cluster.ts';
import type { ClusterNode, PoolScaling } from '../fleet/node.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { digestOf } from '../kernel/digest.ts';
import type { Random } from '../kernel/random.ts';
import type { Resources } from '../kernel/resources.ts';
import type { CapacityAnswer } from '../fleet/capacity-answer.ts';
import type { CostParts } from '../scheduler/cost-model.ts';
import type { Demand } from '../scheduler/demand.ts';
import type { PaidCapacity } from '../pricing/agreements.ts';
import { replicasPerMachine, type Question } from '../scheduler/filter-offerings.ts';
import type { FreeCapacity } from '../scheduler/fill-places.ts';
import type { LivedThrough } from '../scheduler/learned-risk.ts';
import type { SpotRecord } from '../scheduler/spot-record.ts';
import type { KnownRefusal, RentableRegion } from '../scheduler/place-facts.ts';
import type { Workload } from './replica.ts';
import { machinesOf } from './workload-cost.ts';

/** A cluster that may rent somewhere. */
export interface Source {
  /** Names it in a plan. */
  readonly key: string;
  readonly cluster: Cluster;
  readonly source: CapacitySource;
}

/** Machines that are rented for a pool, or will be. */
export interface RentedCapacity {
  readonly isNew: boolean;
  /** For these replicas. */
  readonly machines: number;
  readonly zone: string;
  /** What all of it is made of. */
  readonly cost: CostParts;
  readonly scaling: Pick<PoolScaling, 'provider' | 'config' | 'minNodes' | 'maxNodes'>;
}

/** Pools and how they scale, as far as anybody knows. */
export interface PoolsThere {
  readonly pools: readonly Pool[];
  /** Those that were removed and whose machines still go. */
  readonly leaving: readonly Pool[];
  readonly scalings: ReadonlyMap<Id, PoolScaling>;
  /** That are wished for in each pool, by everybody. */
  readonly machines: ReadonlyMap<Id, number>;
}

/** Machines of one deployment, by pool. */
export function machinesByPool(workloads: readonly Pick<Workload, 'poolId' | 'replicas' | 'perMachine'>[]): Map<Id, number> {
  const sums = new Map<Id, number>();
  for (const one of workloads) sums.set(one.poolId, (sums.get(one.poolId) ?? 0) + machinesOf(one));
  return sums;
}

/** While a rollout is under way both sides run. */
const SIDES = 2;

/**
 * What others hold of a pool: of one that was made for its replicas the machines that they wish for, with what it was granted for their rollouts; of one that a
 * person made what he said.
 */
function wishedByOthers({ scalings, machines }: PoolsThere, own: ReadonlyMap<Id, number>, pool: Pool): number {
  const { maxNodes = 0 } = scalings.get(pool.id) ?? {};
  const its = own.get(pool.id) ?? 0;
  if (!isMade(pool)) return Math.max(0, maxNodes - its);
  const wished = Math.max(0, (machines.get(pool.id) ?? 0) - its);
  return Math.max(wished, Math.min(maxNodes, SIDES * wished));
}

/** What a pool holds of its source without what one deployment has of it: what others hold, or the machines that there are, whichever is more. */
export const othersIn = (there: PoolsThere, own: ReadonlyMap<Id, number>, pool: Pool): number =>
  Math.max(wishedByOthers(there, own, pool), (there.scalings.get(pool.id)?.desiredNodes ?? 0) - (own.get(pool.id) ?? 0));

/** What a pool will hold once a deployment has `wanted` machines there instead of its own: machines that are idle there are for whoever grows there. */
export function heldThen(
  there: PoolsThere,
  pool: Pool,
  { own, wanted }: { readonly own: ReadonlyMap<Id, number>; readonly wanted: ReadonlyMap<Id, number> },
): number {
  const [before, after] = [own.get(pool.id) ?? 0, wanted.get(pool.id) ?? 0];
  const running = there.scalings.get(pool.id)?.desiredNodes ?? 0;
  return Math.max(wishedByOthers(there, own, pool) + after, running - Math.max(0, before - after));
}

/** Where clusters that can run the format and can be reached may rent. */
export const sourcesOf = (clusters: readonly Cluster[], format: string): Source[] =>
  clusters
    .filter((cluster) => !cluster.cordoned && !isLost(cluster) && !isUnreachable(cluster) && canRun(cluster, format))
    .flatMap((cluster) =>
      (cluster.capacitySources ?? []).map((source) => ({
        key: `${cluster.name} ${source.provider} ${source.region}`,
        cluster,
        source,
      })),
    );

/** Of a source: what all its pools hold without what one deployment has of them. */
const promisedOf = (from: Source, there: PoolsThere, own: ReadonlyMap<Id, number>): number =>
  poolsOf(from, there).reduce((all, pool) => all + othersIn(there, own, pool), 0);

/** Those for which machines are rented from it, the ones that go included. */
export const poolsOf = ({ cluster, source }: Source, { pools, leaving, scalings }: PoolsThere): Pool[] =>
  [...pools, ...leaving].filter(({ id, clusterId }) => {
    const scaling = scalings.get(id);
    return clusterId === cluster.id && scaling !== undefined && isRentedFrom(source, scaling);
  });

/** Machines that each source may still rent. */
export const rentableOf = (sources: readonly Source[], there: PoolsThere, own: ReadonlyMap<Id, number>): RentableRegion[] =>
  sources.map((one) => ({
    ...{ source: one.key, region: one.source.region, zones: one.source.zones },
    machines: Math.max(0, one.source.maxNodes - promisedOf(one, there, own)),
  }));

/** What providers refused and nobody should ask them for again just yet, by the sources that rent from them. */
export const refusalsOf = (answers: readonly CapacityAnswer[], sources: readonly Source[], now: Instant): KnownRefusal[] =>
  answers
    .filter(({ until }) => now < until)
    .flatMap(({ key, reason, message }) =>
      sources
        .filter(({ source }) => source.provider === key.provider && nameOfRegion(source.region) === key.region)
        .map((one) => ({
          ...{ source: one.key, region: one.source.region },
          ...(key.zone === '' ? {} : { zone: key.zone }),
          ...(key.instanceType === '' ? {} : { instanceType: key.instanceType }),
          ...{ capacityType: key.capacityType, code: reason === 'STOCK_OUT' ? ('STOCK_OUT' as const) : ('NO_QUOTA' as const) },
          message: `Its provider said: ${message}.`,
        })),
    );

/** Nodes without work that are paid for: room for so many replicas, by pool and kind of machine. */
export function freeOf(
  nodes: readonly ClusterNode[],
  { offerings, machines }: { readonly offerings: ReadonlyMap<Id, Offering>; readonly machines: PoolsThere['machines'] },
  demand: Demand,
): FreeCapacity[] {
  const rooms = unclaimed(nodes, machines).flatMap((node): FreeCapacity[] => {
    const offering = node.offeringId === null ? undefined : offerings.get(node.offeringId);
    if (!offering || node.poolId === null) return [];
    const { cpuMilli, memoryMib, accelerator } = node.allocatable;
    const device = accelerator && { ...accelerator, memoryMib: accelerator.memoryMib || (offering.accelerator?.memoryMib ?? 0) };
    const replicas = replicasPerMachine({ demand, facts: {} }, { ...offering, cpuMilli, memoryMib, accelerator: device });
    return replicas === 0 ? [] : [{ poolId: node.poolId, offering, zone: node.zone ?? '', replicas }];
  });
  const keyOf = ({ poolId, offering, zone }: FreeCapacity): string => `${poolId} ${offering.id} ${zone}`;
  return [...Map.groupBy(rooms, keyOf).values()].flatMap((some) => {
    const [first] = some;
    return first ? [{ ...first, replicas: some.reduce((all, one) => all + one.replicas, 0) }] : [];
  });
}

/** Idle nodes of each pool, without as many as are wished for there beyond those that work: their pods are on their way. */
function unclaimed(nodes: readonly ClusterNode[], machines: PoolsThere['machines']): ClusterNode[] {
  const byPool = Map.groupBy(nodes, ({ poolId }) => poolId);
  return [...byPool].flatMap(([poolId, its]) => {
    const idle = its.filter(
      (node) =>
        node.idleSince !== null && node.readiness === 'ready' && node.schedulable && node.notice === null && !node.releasing,
    );
    const working = its.length - its.filter(({ idleSince }) => idleSince !== null).length;
    const claimed = Math.max(0, (machines.get(poolId ?? '') ?? 0) - working);
    return idle.slice(claimed);
  });
}

/** Machines that are paid for whether they run or not, and that nobody has: room for so many replicas. */
export function paidRooms(paid: readonly PaidCapacity[], { offerings, used, demand, facts }: PaidWorld): FreeCapacity[] {
  return paid.flatMap(({ offeringId, count }) => {
    const offering = offerings.get(offeringId);
    const perMachine = offering ? replicasPerMachine({ demand, facts }, offering) : 0;
    const replicas = Math.max(0, count - (used.get(offeringId) ?? 0)) * perMachine;
    return offering && replicas > 0 ? [{ poolId: null, offering, zone: offering.zone, replicas, perMachine }] : [];
  });
}

export interface PaidWorld extends Pick<Question, 'demand' | 'facts'> {
  readonly offerings: ReadonlyMap<Id, Offering>;
  /** Machines that others wish for or have, by offering. */
  readonly used: ReadonlyMap<Id, number>;
}

/** Machines of each kind that run, or that pools are wished to have, whichever is more; those of one deployment left out. */
export function usedOf(
  { pools, machines }: PoolsThere,
  nodes: readonly ClusterNode[],
  own: ReadonlyMap<Id, number>,
): Map<Id, number> {
  const counts = (some: readonly (readonly [Id | null, number])[]): Map<Id, number> => {
    const sums = new Map<Id, number>();
    for (const [id, count] of some) if (id !== null) sums.set(id, (sums.get(id) ?? 0) + count);
    return sums;
  };
  const ownOf = counts(pools.map(({ id, offeringId }) => [offeringId, own.get(id) ?? 0]));
  const wished = counts(pools.map(({ id, offeringId }) => [offeringId, machines.get(id) ?? 0]));
  const running = counts(nodes.map(({ offeringId }) => [offeringId, 1]));
  const all = [...new Set([...wished.keys(), ...running.keys()])];
  return new Map(all.map((id) => [id, Math.max(wished.get(id) ?? 0, running.get(id) ?? 0) - (ownOf.get(id) ?? 0)]));
}

/** What all these records lived through with each kind of capacity, over the pools of it. */
export function livedThrough(records: Iterable<Pick<SpotRecord, 'pools'>>, pools: readonly Pool[]): Map<Id, LivedThrough> {
  const offeringOf = new Map(pools.map(({ id, offeringId }) => [id, offeringId]));
  const sums = new Map<Id, LivedThrough>();
  for (const record of records)
    for (const [poolId, { losses, expected }] of record.pools) {
      const id = offeringOf.get(poolId) ?? null;
      const before = id === null ? undefined : sums.get(id);
      if (id !== null) sums.set(id, { losses: losses + (before?.losses ?? 0), expected: expected + (before?.expected ?? 0) });
    }
  return sums;
}

/** A pool's label on its nodes: its replicas run nowhere else. */
const POOL_LABEL = 'purser.dev/pool';
const MAX_NAME = 63;

/** The kind of machine that a pool has. */
export interface RentedKind {
  readonly offering: Offering;
  readonly zone: string;
}

/**
 * The pool of a source for one kind of machine is the same for every deployment. One that others made under its name stays theirs, and one
 * whose machines still go is no more: the next name is taken then.
 */
export function poolFor(
  from: Source,
  kind: RentedKind,
  there: PoolsThere,
): { readonly name: string; readonly pool: Pool | null } {
  const plain = nameOfPool(from, kind);
  const named = new Map(there.pools.filter(({ clusterId }) => clusterId === from.cluster.id).map((pool) => [pool.name, pool]));
  const leaving = new Set(there.leaving.filter(({ clusterId }) => clusterId === from.cluster.id).map(({ name }) => name));
  for (let n = 1; ; n += 1) {
    const name = n === 1 ? plain : `${plain.slice(0, MAX_NAME - 4)}-${n}`;
    const pool = named.get(name) ?? null;
    if (pool ? isMadeFor(from, kind, { pool, scaling: there.scalings.get(pool.id) }) : !leaving.has(name)) return { name, pool };
  }
}

function isMadeFor(
  from: Source,
  { offering }: RentedKind,
  { pool, scaling }: { readonly pool: Pool; readonly scaling: PoolScaling | undefined },
): boolean {
  if (!scaling || !isRentedFrom(from.source, scaling)) return false;
  return pool.offeringId === offering.id && isMade(pool);
}

/** `g4dn-xlarge-spot-us-east-1-aws` */
function nameOfPool({ source }: Source, { offering, zone }: RentedKind): string {
  const parts = [offering.instanceType, offering.capacityType, zone || nameOfRegion(source.region), source.provider];
  const name = parts
    .join('-')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME - 9)}-${digestOf(name).slice(-8)}`;
}

export const makePool = (
  { cluster }: Source,
  { name, offering }: { readonly name: string; readonly offering: Offering },
  { now, random }: { readonly now: Instant; readonly random: Random },
): Pool => ({
  ...{ id: newId(now, random), clusterId: cluster.id, name, capacityType: offering.capacityType, offeringId: offering.id },
  ...{ nodeSelector: { [POOL_LABEL]: name }, version: 1, createdAt: now, removedAt: null },
});

/** True if it was made for what runs there, and not by a person. */
export const isMade = ({ name, nodeSelector }: Pool): boolean => nodeSelector[POOL_LABEL] === name;

/** What its provider is told: where, what, and the settings of the source. */
export const configOf = ({ source }: Source, offering: Offering, zone: string): PoolScaling['config'] => ({
  ...source.config,
  region: nameOfRegion(source.region),
  instanceType: offering.instanceType,
  ...(zone === '' ? {} : { zone }),
});

/** What a Kubernetes node keeps for itself and for what runs on every node. Higher: machines are larger than needed; lower: replicas do not fit. */
export const NODE_OVERHEAD = { cpuMilli: 250, memoryMib: 1024 };

/** Replicas that one machine takes which is rented for them; one where nobody knows what it has. */
export function sharedOn(resources: Resources, offering: Offering, kind: Cluster['kind'] | undefined): number {
  const facts = kind === 'kubernetes' ? { overhead: NODE_OVERHEAD } : {};
  return Math.max(1, replicasPerMachine({ demand: { resources, capacityTypes: [] }, facts }, offering));
}

/** Machines that a deployment has in a pool, and those that it needs there now. */
export interface AskedGrowth {
  readonly source: string;
  readonly before: number;
  readonly machines: number;
}

/** What is needed, and what a rollout needs beside it, as far as the source goes for all of its pools together. */
export function growthOf(asked: readonly AskedGrowth[], left: ReadonlyMap<string, number>): number[] {
  const spare = new Map(left);
  const take = (source: string, machines: number): void => void spare.set(source, (spare.get(source) ?? 0) - machines);
  const needed = asked.map(({ before, machines }) => Math.max(before, machines));
  for (const [at, { source }] of asked.entries()) take(source, needed[at] ?? 0);
  return asked.map(({ source, machines }, at) => {
    const least = needed[at] ?? 0;
    const more = Math.max(0, Math.min(SIDES * machines - least, spare.get(source) ?? 0));
    take(source, more);
    return least + more;
  });
}

/** Rounded up, so that what the owner allows is never exceeded by a rounding. */
export const shareOf = (price: PicoUsdPerHour, machines: number, replicas: number): PicoUsdPerHour =>
  replicas === 0 ? price : (price * BigInt(machines) + BigInt(replicas) - 1n) / BigInt(replicas);
