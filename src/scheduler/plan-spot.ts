import { HOUR_MS, type Instant } from '../kernel/instant.ts';
import { spotTerms, type SpotGoal, type SpotTerms } from './spot-goal.ts';
import { cheapestMix, type Mix, type MixPool, type ZoneWish } from './spot-mix.ts';
import type { SpotRecord } from './spot-record.ts';
import { jointShare, poolRisk, type PoolRisk, type SpotPool } from './spot-risk.ts';

export type { SpotGoal, ZoneWish };

export interface SpotPolicy {
  /** Replicas wished for. */
  readonly replicas: number;
  /** Price of on-demand capacity, in spot prices. */
  readonly onDemandRatio: number;
  /** From a launch until the replica is ready, in ms. */
  readonly launchMs: number;
  /** Between two looks at what pools have, in ms: nobody can know more. */
  readonly lookMs: number;
  readonly goal: SpotGoal;
  /** Zones that spot shall be in at the least, as far as there is some; absent = the mix alone decides. */
  readonly zones?: ZoneWish;
}

export interface HeldInstance {
  readonly id: string;
  /** Pool of spot capacity; null = on-demand. */
  readonly pool: string | null;
  /** In the future while it is launching. */
  readonly readyAt: Instant;
  /** It was told that it will be taken then; null = it was not. */
  readonly leavesAt: Instant | null;
}

export interface SpotInput {
  readonly policy: SpotPolicy;
  readonly record: SpotRecord;
  readonly held: readonly HeldInstance[];
  /** All spot pools. */
  readonly pools: readonly SpotPool[];
  /** Pools that answered that they have nothing more: not asked again until they are taken out of here. */
  readonly refused: ReadonlySet<string>;
}

export interface SpotPlan {
  /** In this order; after a refusal the rest is void and planned anew. Null = on-demand. */
  readonly launches: readonly (string | null)[];
  readonly stops: readonly string[];
  /** To be planned again by then, even if nothing happens; null = only if something does. */
  readonly wakeAt: Instant | null;
}

/** A goal with an error budget is looked at so often, because the budget grows by itself. */
const BUDGET_LOOK_MS = HOUR_MS;

/**
 * Which capacity to launch and which to let go, so that the cheapest mix for the goal is held (`cheapestMix`). What was told that it will be taken counts
 * as gone: its successor is launched at the notice, however many notices there are, and nobody stops what serves until then. On-demand is let go
 * when its successor on spot is ready. Level-triggered: once carried out, the next plan is empty.
 */
export function planSpot(input: SpotInput, now: Instant): SpotPlan {
  const { policy, pools, record } = input;
  const held = input.held.filter(({ leavesAt }) => leavesAt === null);
  const terms = spotTerms(policy, record, Math.max(0, policy.replicas - countReady(held, now)), now);
  const counts = pools.map(({ name }) => held.filter(({ pool }) => pool === name).length);
  const mixPools = riskyPools(input, counts);
  const mix = cheapestMix(mixPools, { ...policy, ...terms });
  const launches = pools.flatMap(({ name }, place) =>
    Array<string>(Math.max(0, (mix.counts[place] ?? 0) - (counts[place] ?? 0))).fill(name),
  );
  const situation = { input, held, terms, mix, mixPools, launched: launches.length, now };
  const [start, keep] = onDemandBounds(situation);
  const onDemand = held.filter(({ pool }) => pool === null);
  const letGo = byReadiness(onDemand).slice(0, Math.max(0, onDemand.length - keep));
  const stops = [...letGo, ...surplusSpot(situation, countReady(held, now) - countReady(letGo, now) - policy.replicas)];
  return {
    launches: [...launches, ...Array<null>(Math.max(0, start - onDemand.length)).fill(null)],
    stops: stops.map(({ id }) => id),
    wakeAt: wakeAt(situation),
  };
}

interface Situation {
  readonly input: SpotInput;
  /** Without what will be taken. */
  readonly held: readonly HeldInstance[];
  readonly terms: SpotTerms;
  readonly mix: Mix;
  readonly mixPools: readonly MixPool[];
  readonly launched: number;
  readonly now: Instant;
}

function riskyPools({ pools, record, refused }: SpotInput, counts: readonly number[]): MixPool[] {
  const risks = pools.map((pool) => poolRisk(record, pool));
  return pools.map((pool, place) => {
    const held = counts[place] ?? 0;
    const rates: number[] = [];
    return {
      ...{ held, limit: refused.has(pool.name) ? held : Number.MAX_SAFE_INTEGER, price: pool.price, zone: pool.zone },
      risk: risks[place] ?? poolRisk(record, pool),
      // Few of all pairs are ever asked for.
      jointRate: (other) => (rates[other] ??= jointRate(record, [pool, pools[other]], [risks[place], risks[other]])),
    };
  });
}

/** Losses per ms that hit both: of all losses of two pools, rate + rate − joint, a share is joint. */
function jointRate(record: SpotRecord, [one, other]: Pair<SpotPool>, [risk, otherRisk]: Pair<PoolRisk>): number {
  if (one === undefined || other === undefined) return 0;
  const share = jointShare(record, one, other);
  return (share * ((risk?.rate ?? 0) + (otherRisk?.rate ?? 0))) / (1 + share);
}

type Pair<T> = readonly [T | undefined, T | undefined];

/** At least so many on-demand instances must be there, and no more than the second number may stay. */
function onDemandBounds(situation: Situation): [number, number] {
  const { input, held, terms, mix, launched, now } = situation;
  const { replicas, launchMs } = input.policy;
  const spot = held.filter(({ pool }) => pool !== null);
  const ready = countReady(spot, now);
  // What has only just made up for a loss stays: a second loss would join the first.
  const yieldMs = input.record.shortUntil === now ? 0 : terms.yieldMs;
  const almost = countReady(spot, now + yieldMs) - ready + (yieldMs >= launchMs ? launched : 0);
  const waiting = isWaiting(situation) ? Math.min(terms.waiting, mix.onDemand) : 0;
  const start = Math.max(isBackedUp(situation) ? replicas - ready : 0, mix.onDemand - waiting);
  return [start, Math.max(start, Math.min(replicas, mix.total - ready - almost))];
}

function isWaiting({ input: { refused, record, policy }, now }: Situation): boolean {
  return refused.size > 0 && record.shortSince !== null && now - record.shortSince < policy.lookMs;
}

/**
 * Whether on-demand is launched beside spot that is launching: when a shortage may last no longer, or when what is missing if a launch comes to
 * nothing, half a launch in the mean, costs more than on-demand for that long.
 */
function isBackedUp({ input: { record, policy }, terms, mix, mixPools, now }: Situation): boolean {
  if (record.shortSince === null) return false;
  if (terms.patienceMs !== null && now - record.shortSince >= terms.patienceMs) return true;
  const chances = mixPools.filter((_, place) => (mix.counts[place] ?? 0) > 0).map(({ risk }) => risk.lossWithin(policy.launchMs));
  return (terms.missingPrice * Math.max(0, ...chances)) / 2 >= policy.onDemandRatio;
}

/** Spot beyond the mix goes as long as enough stay ready: what is not ready first. */
function surplusSpot({ input: { pools }, held, mix, now }: Situation, spare: number): HeldInstance[] {
  let left = spare;
  return pools.flatMap(({ name }, place) => {
    const here = byReadiness(held.filter(({ pool }) => pool === name));
    return here
      .slice(0, Math.max(0, here.length - (mix.counts[place] ?? 0)))
      .filter(({ readyAt }) => readyAt > now || left-- > 0);
  });
}

function wakeAt({ input: { policy, record }, terms, now }: Situation): Instant | null {
  const { shortSince } = record;
  const times = [
    ...(shortSince !== null && terms.patienceMs !== null ? [shortSince + terms.patienceMs] : []),
    ...(shortSince !== null && terms.waiting > 0 ? [shortSince + policy.lookMs] : []),
    ...(policy.goal.kind === 'filled' || policy.goal.kind === 'kept' ? [now + BUDGET_LOOK_MS] : []),
  ].filter((at) => at > now);
  return times.length === 0 ? null : Math.min(...times);
}

const countReady = (held: readonly HeldInstance[], now: Instant): number => held.filter(({ readyAt }) => readyAt <= now).length;

const byReadiness = (instances: readonly HeldInstance[]): HeldInstance[] => [...instances].sort((a, b) => b.readyAt - a.readyAt);
