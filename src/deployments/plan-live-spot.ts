import type { Offering } from '../clouds/offering.ts';
import { regionOf } from '../clouds/offering-key.ts';
import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import { formatUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import { planSpot, type HeldInstance, type SpotGoal } from '../scheduler/plan-spot.ts';
import { newSpotRecord, recordSpot, type SpotRecord, type SpotSeen } from '../scheduler/spot-record.ts';
import type { SpotPool } from '../scheduler/spot-risk.ts';
import type { DeploymentSpec } from './deployment.ts';
import type { Replica, Workload } from './replica.ts';
import { poolInNewZone, stopsOutsideLastZones, zonesIn, type LiveZones, type Placed } from './spot-zones.ts';
import { knownHourlyOf } from './workload-cost.ts';

/** What one remembers of a deployment's spot capacity from one look to the next. */
export interface SpotMemory {
  readonly record: SpotRecord;
  /** Replicas by pool at the last look, without those that were known to leave or were given back then. */
  readonly held: ReadonlyMap<Id, number>;
  /** Replicas that were ready. */
  readonly ready: number;
}

/** One deployment whose replicas may be on several pools, spot among them. */
export interface LiveSpotWorld {
  readonly spec: Pick<DeploymentSpec, 'replicas' | 'maxReplicas' | 'maxSpendPerHour'>;
  /** Of its one revision that gets traffic: those not removed. */
  readonly workloads: readonly Workload[];
  /** That hold their slot. */
  readonly replicas: readonly Replica[];
  /** By workload: replicas on nodes that will be taken away. */
  readonly noticed: ReadonlyMap<Id, number>;
  /** Offerings of the workloads, and what they cost. */
  readonly offerings: ReadonlyMap<Id, Offering>;
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
  /** Pools whose provider has nothing more of their kind for now. */
  readonly refused: ReadonlySet<Id>;
  /** Null = this is the first look. */
  readonly memory: SpotMemory | null;
  /** Of the replicas, those that shall be on-demand whatever spot is like; absent = none. */
  readonly minOnDemand?: number;
  /** Pools that the wish does not allow any more: what is there moves; absent = none. */
  readonly forbidden?: ReadonlySet<Id>;
  /** Absent = one zone will do. */
  readonly zones?: LiveZones;
}

export interface LiveSpotPlan {
  readonly memory: SpotMemory;
  /** Replicas by pool that nobody takes away: what is remembered as held if the changes are not made. */
  readonly here: ReadonlyMap<Id, number>;
  /** True if what is remembered says more than before, so that it is to be kept. */
  readonly isNews: boolean;
  /** Workloads that get another number of replicas. */
  readonly changes: readonly { readonly workload: Workload; readonly replicas: number }[];
  readonly reasons: readonly string[];
}

/** How sure it must be that the wish is met. Higher: more is paid for spares; lower: losses are felt. */
const GOAL: SpotGoal = { kind: 'filled', share: 0.999 };
/** Between two looks: the loop comes at least this often. */
export const LOOK_MS = 10_000;
/** From a launch until the replica serves, while none has been seen to. Higher: spares are held for long starts; lower: a slow start is a shortage. */
const LAUNCH_MS = 3 * MINUTE_MS;
/** A machine of which a notice came is counted on for so long, where nobody says. Spot markets give two minutes or less. */
const LEAVES_MS = 2 * MINUTE_MS;

/**
 * How many replicas each pool shall have: spread over pools that are lost independently, with spares where the record says so, on-demand while spot is
 * short, and back. Successors are started before what will be taken away goes. Never more than the wish's own limits allow. Null = there is nothing to
 * choose: one pool, no spot, a price that nobody knows, a wish of none, or one that leaves none to spot.
 */
export function planLiveSpot(world: LiveSpotWorld, now: Instant): LiveSpotPlan | null {
  const { workloads, spec, rates } = world;
  const isSpotted = workloads.some(({ capacityType }) => capacityType === 'spot');
  if (!isSpotted || workloads.length < 2 || spec.replicas <= (world.minOnDemand ?? 0)) return null;
  if (workloads.some(({ offeringId }) => (rates.get(offeringId) ?? 0n) <= 0n)) return null;
  const parts = workloads.map((workload) => partOf(workload, world));
  const seen = seenNow(world, parts, now);
  const record = recordSpot(world.memory?.record ?? newSpotRecord(now), seen, now);
  const { targets, reasons } = targetsOf(world, { parts, record, launchMs: seen.launchMs }, now);
  const changes = parts.flatMap(({ workload }) => {
    const replicas = targets.get(workload.id) ?? workload.replicas;
    return replicas === workload.replicas ? [] : [{ workload, replicas }];
  });
  const held = new Map(
    parts.map(({ workload, staying }) => [workload.poolId, Math.min(staying.length, targets.get(workload.id) ?? 0)]),
  );
  const memory = { record, held, ready: seen.ready };
  const here = new Map(parts.map(({ workload, staying }) => [workload.poolId, staying.length]));
  return { memory, here, isNews: isNews(world.memory, memory, seen), changes, reasons };
}

/** A workload with what is there of it. */
interface Part {
  readonly workload: Workload;
  /** Replicas that nobody takes away. */
  readonly staying: readonly Replica[];
  readonly leaving: readonly Replica[];
  /** Wished for and not made yet; none where the provider has nothing. */
  readonly coming: number;
}

function partOf(workload: Workload, { replicas, noticed, refused, forbidden }: LiveSpotWorld): Part {
  const own = replicas.filter(({ workloadId, state }) => workloadId === workload.id && state !== 'draining');
  // Those that serve already are on nodes of before; which of them leave is all the same.
  const ordered = [...own].sort((a, b) => a.capacityFrom - b.capacityFrom || (a.id < b.id ? -1 : 1));
  const isForbidden = forbidden?.has(workload.poolId) ?? false;
  const leaving = isForbidden ? ordered : ordered.slice(0, noticed.get(workload.id) ?? 0);
  // Those beyond what is wished there are about to end.
  const rest = ordered.slice(leaving.length).slice(0, workload.replicas);
  // What was refused will not start: neither what was never made, nor what waits for a node.
  const staying = refused.has(workload.poolId) ? rest.filter(({ state }) => state !== 'starting') : rest;
  const coming = refused.has(workload.poolId) || isForbidden ? 0 : Math.max(0, workload.replicas - staying.length);
  return { workload, staying, leaving, coming };
}

const isReady = ({ state }: Replica): boolean => state === 'serving';

function seenNow({ spec, replicas, memory, forbidden }: LiveSpotWorld, parts: readonly Part[], now: Instant): SpotSeen {
  const ready = parts.flatMap(({ staying, leaving }) => [...staying, ...leaving]).filter(isReady).length;
  const spot = parts.filter(({ workload }) => workload.capacityType === 'spot');
  // What is moved because the wish changed is not lost.
  const followed = spot.filter(({ workload: { poolId } }) => !forbidden?.has(poolId));
  const lost = followed.map(({ workload: { poolId }, staying }): [Id, number] => [
    poolId,
    (memory?.held.get(poolId) ?? 0) - staying.length,
  ]);
  return {
    replicas: spec.replicas,
    launchMs: launchMsOf(replicas, now),
    readyBefore: memory?.ready ?? ready,
    ready,
    heldBefore: new Map(spot.map(({ workload: { poolId } }) => [poolId, memory?.held.get(poolId) ?? 0])),
    lost: new Map(lost.filter(([, count]) => count > 0)),
  };
}

/** The middle of what those took that went straight from starting to serving. */
function launchMsOf(replicas: readonly Replica[], now: Instant): number {
  const took = replicas
    .filter(({ state, transitions, stateSince }) => state === 'serving' && transitions === 2 && stateSince <= now)
    .map(({ stateSince, capacityFrom }) => stateSince - capacityFrom)
    .sort((a, b) => a - b);
  return Math.max(1_000, took[Math.floor(took.length / 2)] ?? LAUNCH_MS);
}

interface Deciding {
  readonly parts: readonly Part[];
  readonly record: SpotRecord;
  readonly launchMs: number;
}

function targetsOf(world: LiveSpotWorld, { parts, record, launchMs }: Deciding, now: Instant): Targets {
  const { spec, refused, forbidden = NONE, zones } = world;
  const cheapest = Math.min(...parts.map(({ workload }) => rateOf(world, workload)));
  const onDemand = parts
    .filter(({ workload: { capacityType, poolId } }) => capacityType !== 'spot' && !forbidden.has(poolId))
    .sort((a, b) => rateOf(world, a.workload) - rateOf(world, b.workload));
  const held = parts.flatMap((part) => heldOf(part, launchMs, now));
  const fixed = fixedOf(world, held);
  const spot = parts.filter(({ workload: { capacityType, poolId } }) => capacityType === 'spot' && !forbidden.has(poolId));
  const plan = planSpot(
    {
      policy: {
        replicas: spec.replicas - (world.minOnDemand ?? 0),
        onDemandRatio: onDemand[0] ? rateOf(world, onDemand[0].workload) / cheapest : UNAFFORDABLE,
        ...{ launchMs, lookMs: LOOK_MS, goal: GOAL },
        ...(zones ? { zones } : {}),
      },
      record,
      held: held.filter(({ id }) => !fixed.has(id)),
      pools: spot.map(({ workload }) => poolOf(world, workload, cheapest)),
      refused,
    },
    now,
  );
  const lacking = Array<null>(Math.max(0, (world.minOnDemand ?? 0) - fixed.size)).fill(null);
  const given = onDemand.flatMap(({ workload }) => (refused.has(workload.poolId) ? [] : [workload]));
  const stops = stopsOutsideLastZones(parts.flatMap(placedIn), new Set(plan.stops), zones);
  return fillTargets(world, { parts, launches: [...lacking, ...plan.launches], given, stops });
}

const NONE: ReadonlySet<Id> = new Set();

const placedIn = ({ workload, staying, coming }: Part): Placed[] => {
  const where = { poolId: workload.poolId, isOnDemand: workload.capacityType !== 'spot' };
  return [
    ...staying.map((replica) => ({ id: replica.id, ...where, isReady: isReady(replica) })),
    ...comingIds(workload, coming).map((id) => ({ id, ...where, isReady: false })),
  ];
};

/** What is not there yet is known by its place in the row. */
const comingIds = ({ id }: Workload, count: number): string[] => Array.from({ length: count }, (_, n) => `${id} ${n}`);

/** Those that are on-demand because the wish says so, whatever is planned for the others: the first that serve. */
function fixedOf({ minOnDemand = 0 }: LiveSpotWorld, held: readonly HeldInstance[]): ReadonlySet<string> {
  const lasting = held.filter(({ pool, leavesAt }) => pool === null && leavesAt === null).sort((a, b) => a.readyAt - b.readyAt);
  return new Set(lasting.slice(0, minOnDemand).map(({ id }) => id));
}

/** Over spot, where there is no on-demand pool: it is never the cheaper way. */
const UNAFFORDABLE = 1_000;

/** Of one replica: its share of a machine. */
const rateOf = ({ rates }: LiveSpotWorld, { offeringId, perMachine = 1 }: Workload): number =>
  Number(rates.get(offeringId) ?? 0n) / perMachine;

function poolOf(world: LiveSpotWorld, workload: Workload, cheapest: number): SpotPool {
  const offering = world.offerings.get(workload.offeringId);
  return {
    name: workload.poolId,
    region: offering ? regionOf(offering) : workload.clusterName,
    zone: world.zones?.of.get(workload.poolId) ?? null,
    price: rateOf(world, workload) / cheapest,
    interruptionBand: offering?.interruptionBand ?? null,
  };
}

function heldOf({ workload, staying, leaving, coming }: Part, launchMs: number, now: Instant): HeldInstance[] {
  const pool = workload.capacityType === 'spot' ? workload.poolId : null;
  const readyAt = (replica: Replica): Instant =>
    isReady(replica) ? replica.stateSince : Math.max(now + LOOK_MS, replica.capacityFrom + launchMs);
  return [
    ...staying.map((replica) => ({ id: replica.id, pool, readyAt: readyAt(replica), leavesAt: null })),
    ...leaving.map((replica) => ({ id: replica.id, pool, readyAt: readyAt(replica), leavesAt: now + LEAVES_MS })),
    ...comingIds(workload, coming).map((id) => ({ id, pool, readyAt: now + launchMs, leavesAt: null })),
  ];
}

interface Targets {
  readonly targets: ReadonlyMap<Id, number>;
  readonly reasons: readonly string[];
}

interface Filling {
  readonly parts: readonly Part[];
  /** By pool; null = on-demand. */
  readonly launches: readonly (Id | null)[];
  /** On-demand that can be had, the cheapest first. */
  readonly given: readonly Workload[];
  readonly stops: ReadonlySet<string>;
}

/** What stays, less what is let go, and then one launch after the other as long as the wish's own limits allow it. */
function fillTargets(world: LiveSpotWorld, { parts, launches, given, stops }: Filling): Targets {
  const { spec, rates, zones } = world;
  const targets = keptTargets(world, parts, stops);
  const counts = () => parts.map(({ workload }) => ({ ...workload, replicas: targets.get(workload.id) ?? 0 }));
  const used = () => counts().flatMap(({ poolId, replicas }) => (replicas > 0 ? [poolId] : []));
  const reasons = reasonsFor(world, parts);
  for (const poolId of launches) {
    const there = parts.find(({ workload }) => workload.poolId === poolId)?.workload;
    const workload = poolId === null ? poolInNewZone(given, used(), zones) : there;
    if (!workload) continue;
    const more = counts().map((one) => (one.id === workload.id ? { ...one, replicas: one.replicas + 1 } : one));
    const total = more.reduce((all, { replicas }) => all + replicas, 0);
    if (total > spec.maxReplicas || knownHourlyOf(more, rates) > spec.maxSpendPerHour)
      return { targets, reasons: [...reasons, cappedBy(spec)] };
    targets.set(workload.id, (targets.get(workload.id) ?? 0) + 1);
  }
  return { targets, reasons: [...reasons, ...tooFewZones(spec, used(), zones)] };
}

/** What the wish does not allow any more goes as others take its place. */
function keptTargets(
  { spec, forbidden = NONE }: LiveSpotWorld,
  parts: readonly Part[],
  stops: ReadonlySet<string>,
): Map<Id, number> {
  const ready = parts.reduce((all, { staying }) => all + staying.filter(isReady).length, 0);
  let needed = Math.max(0, spec.replicas - ready);
  const kept = parts.map((part): [Id, number] => {
    const { id, poolId, replicas } = part.workload;
    if (!forbidden.has(poolId)) return [id, keptOf(part, stops)];
    const some = Math.min(replicas, needed);
    needed -= some;
    return [id, some];
  });
  return new Map(kept);
}

function tooFewZones({ replicas }: LiveSpotWorld['spec'], used: readonly Id[], zones: LiveZones | undefined): string[] {
  const wished = Math.min(zones?.atLeast ?? 1, replicas);
  const inUse = zones === undefined || wished <= 1 ? wished : zonesIn(zones, used).size;
  return inUse < wished ? [`Only ${inUse} of the ${wished} zones that are wished for are known to have anything for now.`] : [];
}

const cappedBy = ({ maxReplicas, maxSpendPerHour }: LiveSpotWorld['spec']): string =>
  `No more is started: at most ${maxReplicas} replicas and ${formatUsd(maxSpendPerHour)} USD per hour are allowed.`;

/** A workload is not made smaller while some of it leave: which of its replicas would end, nobody chooses. */
function keptOf({ workload, staying, leaving, coming }: Part, stops: ReadonlySet<string>): number {
  const ids = [...staying.map(({ id }) => id), ...comingIds(workload, coming)];
  const kept = ids.filter((id) => !stops.has(id)).length;
  return leaving.some(isReady) ? Math.max(workload.replicas, kept) : kept;
}

function reasonsFor({ refused, forbidden = NONE }: LiveSpotWorld, parts: readonly Part[]): string[] {
  const moved = parts.filter(({ workload }) => forbidden.has(workload.poolId) && workload.replicas > 0);
  const leaving = parts.filter((part) => !moved.includes(part)).reduce((all, part) => all + part.leaving.length, 0);
  const names = parts.filter(({ workload }) => refused.has(workload.poolId)).map(({ workload }) => workload.poolName);
  return [
    ...(leaving > 0 ? [`${leaving} replicas are on machines that will be taken away.`] : []),
    ...moved.map(({ workload }) => `The wish does not allow ${workload.poolName} any more.`),
    ...(names.length > 0 ? [`There is nothing more in ${names.join(', ')} for now.`] : []),
  ];
}

/** Time that passes without anything happening is known from the last look. */
function isNews(before: SpotMemory | null, after: SpotMemory, { lost }: SpotSeen): boolean {
  if (!before || lost.size > 0 || before.ready !== after.ready || before.held.size !== after.held.size) return true;
  return [...after.held].some(([pool, count]) => before.held.get(pool) !== count);
}
