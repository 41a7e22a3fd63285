import type { Instant } from '../kernel/instant.ts';
import { hadLosses, lossRate, lossShare, type SpotRecord } from './spot-record.ts';

export interface SpotPolicy {
  /** Replicas wished for. */
  readonly replicas: number;
  /** Price of on-demand capacity over the price of spot. */
  readonly onDemandRatio: number;
  /** From a launch until the replica is ready, in ms. */
  readonly launchMs: number;
  /** A shortage may wait so long for spot before on-demand is launched beside it, in ms. */
  readonly patienceMs: number;
  /** On-demand is let go so long before its successor on spot is ready, in ms: cheaper, and that long short. At most `patienceMs`. */
  readonly yieldMs: number;
  /** Share of wished replica time that must be ready, 0 to 1; null = none: spare capacity is never held. */
  readonly filledGoal: number | null;
}

export interface HeldInstance {
  readonly id: string;
  /** Pool of spot capacity; null = on-demand. */
  readonly pool: string | null;
  readonly readyAt: Instant;
}

export interface SpotInput {
  readonly policy: SpotPolicy;
  readonly record: SpotRecord;
  readonly held: readonly HeldInstance[];
  /** Names of all spot pools. */
  readonly pools: readonly string[];
  /** Pools that answered that they have nothing more: not asked again until they are taken out of here. */
  readonly refused: ReadonlySet<string>;
}

export interface SpotPlan {
  /** In this order; after a refusal the rest is void and planned anew. Null = on-demand. */
  readonly launches: readonly (string | null)[];
  readonly stops: readonly string[];
}

/** How many of each kind are wanted. */
interface Mix {
  /** Most in one pool. */
  readonly perPool: number;
  readonly spot: number;
  readonly onDemand: number;
}

/**
 * Which capacity to launch and which to let go. The cheapest mix is chosen that outlives the loss of any one pool, as far as the goal asks
 * for it: what the goal still allows to be missing is the error budget, and while it covers a loss no spare is held. A spare is spot in another
 * pool where that is cheaper, else fewer spot instances and more on-demand.
 */
export function planSpot(input: SpotInput, now: Instant): SpotPlan {
  const { policy, held } = input;
  const mix = cheapestMix(input, bearableLosses(input, now));
  const launches = spotLaunches(input, mix);
  const [start, keep] = onDemandBounds(input, mix, launches.length, now);
  const onDemand = held.filter(({ pool }) => pool === null);
  const letGo = byReadiness(onDemand).slice(0, Math.max(0, onDemand.length - keep));
  const spare = countReady(held, now) - countReady(letGo, now) - policy.replicas;
  const stops = [...letGo, ...surplusSpot(input, mix, spare, now)];
  const missing = Math.max(0, start - onDemand.length);
  return { launches: [...launches, ...Array<null>(missing).fill(null)], stops: stops.map(({ id }) => id) };
}

/** How many replicas may be lost at once; null = none, whatever is lost. Before the first loss a pool is trusted once. */
function bearableLosses({ policy, record }: SpotInput, now: Instant): number | null {
  const { filledGoal, replicas, launchMs } = policy;
  if (filledGoal === null) return replicas;
  const earned = (1 - filledGoal) * replicas * (now - record.from) - record.missingMs;
  const budget = earned + (hadLosses(record) ? 0 : replicas * launchMs);
  return budget < 0 ? null : Math.min(replicas, Math.floor(budget / launchMs));
}

/**
 * Of all limits to what one pool holds, the one with the cheapest mix that is enough without a loss, and without what any one pool may lose
 * at once, as far as that is not bearable.
 */
function cheapestMix({ policy, record, held, pools, refused }: SpotInput, bearable: number | null): Mix {
  const { replicas, onDemandRatio } = policy;
  const share = Math.max(0, ...pools.map((pool) => lossShare(record, pool)));
  const limits = pools.map((pool) => (refused.has(pool) ? countIn(held, pool) : Number.MAX_SAFE_INTEGER));
  let best: Mix & { readonly cost: number } = { perPool: 0, spot: 0, onDemand: replicas, cost: replicas * onDemandRatio };
  if (bearable === null) return best;
  for (let perPool = 1; perPool <= 2 * replicas; perPool += 1) {
    const wanted = replicas + Math.max(0, Math.ceil(perPool * share) - bearable);
    const obtainable = limits.reduce((sum, limit) => sum + Math.min(limit, perPool), 0);
    const spot = Math.min(wanted, obtainable);
    const onDemand = wanted - spot;
    const cost = spot + onDemandRatio * onDemand;
    if (cost < best.cost) best = { perPool, spot, onDemand, cost };
  }
  return best;
}

/** Where there is least of it, then where least is lost. */
function spotLaunches(input: SpotInput, mix: Mix): string[] {
  const { held, pools, refused, record } = input;
  const counts = new Map(pools.map((pool) => [pool, countIn(held, pool)]));
  const launches: string[] = [];
  let total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  for (; total < mix.spot; total += 1) {
    const [next] = pools
      .filter((pool) => !refused.has(pool) && (counts.get(pool) ?? 0) < mix.perPool)
      .sort(
        (a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0) || lossRate(record, a) - lossRate(record, b) || (a < b ? -1 : 1),
      );
    if (next === undefined) break;
    counts.set(next, (counts.get(next) ?? 0) + 1);
    launches.push(next);
  }
  return launches;
}

/** At least so many on-demand instances must be there, and no more than the second number may stay. */
function onDemandBounds({ policy, held, record }: SpotInput, mix: Mix, launched: number, now: Instant): [number, number] {
  const { replicas, launchMs, patienceMs, yieldMs } = policy;
  const spot = held.filter(({ pool }) => pool !== null);
  const ready = countReady(spot, now);
  // What has only just made up for a loss stays: a second loss would join the first.
  const mayYield = record.shortUntil !== now;
  const almost = mayYield ? countReady(spot, now + yieldMs) - ready + (yieldMs >= launchMs ? launched : 0) : 0;
  const isLate = record.shortSince !== null && now - record.shortSince >= patienceMs;
  const total = mix.spot + mix.onDemand;
  const start = Math.max(isLate ? replicas - ready : 0, total - spot.length - launched, mix.onDemand);
  const keep = Math.max(start, replicas - ready - almost);
  return [start, keep];
}

/** Spot beyond the mix goes as long as enough stay ready: what is not ready first, then what is lost most. */
function surplusSpot({ held, record }: SpotInput, mix: Mix, spare: number, now: Instant): HeldInstance[] {
  const spot = held.filter(({ pool }) => pool !== null);
  let left = spare;
  return [...spot]
    .sort((a, b) => b.readyAt - a.readyAt || lossRate(record, b.pool ?? '') - lossRate(record, a.pool ?? ''))
    .slice(0, Math.max(0, spot.length - mix.spot))
    .filter(({ readyAt }) => readyAt > now || left-- > 0);
}

const countReady = (held: readonly HeldInstance[], now: Instant): number => held.filter(({ readyAt }) => readyAt <= now).length;

const byReadiness = (instances: readonly HeldInstance[]): HeldInstance[] => [...instances].sort((a, b) => b.readyAt - a.readyAt);

const countIn = (held: readonly HeldInstance[], name: string): number => held.filter(({ pool }) => pool === name).length;
