import type { Instant } from '../kernel/instant.ts';
import { expectedLosses } from './spot-hazard.ts';

/** What was seen of one pool of spot capacity. */
export interface SpotPoolRecord {
  /** Times that instances were taken away, or were told that they will be. */
  readonly losses: number;
  /** How often a typical pool would have lost something in the same time. */
  readonly expected: number;
  /** The shares that were taken of those held, the newest last. */
  readonly lostShares: readonly number[];
  /** The last loss; null = none yet. */
  readonly lostAt: Instant | null;
  /** Since when something is held there without a loss; null = nothing is. */
  readonly calmSince: Instant | null;
}

/** What was seen of two pools while something was held in both. */
export interface SpotPairRecord {
  /** Times that one of them or both lost instances. */
  readonly losses: number;
  /** Of these, times that both did, within one launch of each other. */
  readonly joint: number;
}

/** What one has lived through with spot capacity; everything that a plan needs to know of the past. Plain data, made by `recordSpot` alone. */
export interface SpotRecord {
  readonly from: Instant;
  readonly at: Instant;
  /** Replica-ms in which a wished replica was not ready. */
  readonly missingMs: number;
  /** Since when fewer than wished are ready; null = enough are. */
  readonly shortSince: Instant | null;
  /** When the last shortage ended; null = there was none. */
  readonly shortUntil: Instant | null;
  readonly pools: ReadonlyMap<string, SpotPoolRecord>;
  /** By `pairKey`. */
  readonly pairs: ReadonlyMap<string, SpotPairRecord>;
}

/** What was held from the last look until now, and what was taken away just now. */
export interface SpotSeen {
  readonly replicas: number;
  /** From a launch until the replica is ready, in ms: pools that lose within one launch of each other lost together. */
  readonly launchMs: number;
  /** Replicas that were ready until now. */
  readonly readyBefore: number;
  /** Replicas that are ready from now on. */
  readonly ready: number;
  /** Instances held until now, by pool; without those that were told before that they will be taken. */
  readonly heldBefore: ReadonlyMap<string, number>;
  /** Instances taken away at this moment, or told so for the first time, by pool. What one stopped oneself is not lost. */
  readonly lost: ReadonlyMap<string, number>;
}

/** Shares that are remembered of a pool. Higher: old ones weigh as much as new ones; lower: one odd loss weighs too much. */
const MAX_SHARES = 32;

const UNUSED: SpotPoolRecord = { losses: 0, expected: 0, lostShares: [], lostAt: null, calmSince: null };
const APART: SpotPairRecord = { losses: 0, joint: 0 };

export const newSpotRecord = (now: Instant): SpotRecord => ({
  from: now,
  at: now,
  missingMs: 0,
  shortSince: null,
  shortUntil: null,
  pools: new Map(),
  pairs: new Map(),
});

/** The record after what was seen at `now`. Order matters, repetition does not if nothing happened between. */
export function recordSpot(record: SpotRecord, seen: SpotSeen, now: Instant): SpotRecord {
  const elapsed = now - record.at;
  const hasLost = seen.lost.size > 0;
  return {
    from: record.from,
    at: now,
    ...recordShortage(record, seen, now),
    pools: elapsed > 0 || hasLost ? recordPools(record, seen, now) : record.pools,
    pairs: hasLost ? recordPairs(record, seen, now) : record.pairs,
  };
}

function recordShortage(record: SpotRecord, { replicas, readyBefore, ready }: SpotSeen, now: Instant) {
  const elapsed = now - record.at;
  const missing = Math.max(0, replicas - readyBefore);
  const shortBefore = missing > 0 && elapsed > 0 ? record.at : null;
  const shortSince = record.shortSince ?? shortBefore;
  const isFull = ready >= replicas;
  return {
    missingMs: record.missingMs + missing * elapsed,
    shortSince: isFull ? null : (shortSince ?? now),
    shortUntil: isFull && shortSince !== null ? now : record.shortUntil,
  };
}

function recordPools({ pools, at }: SpotRecord, { heldBefore, lost }: SpotSeen, now: Instant): SpotRecord['pools'] {
  const after = new Map(pools);
  for (const [pool, known] of pools)
    if (known.calmSince !== null && !heldBefore.has(pool)) after.set(pool, { ...known, calmSince: null });
  for (const pool of new Set([...heldBefore.keys(), ...lost.keys()])) {
    const known = after.get(pool) ?? UNUSED;
    const calmSince = known.calmSince ?? at;
    const held = heldBefore.get(pool) ?? 0;
    const gone = lost.get(pool) ?? 0;
    const seen = { ...known, calmSince, expected: known.expected + expectedLosses(at - calmSince, now - calmSince) };
    after.set(pool, gone === 0 ? seen : withLoss(seen, gone / Math.max(gone, held), now));
  }
  return after;
}

const withLoss = (pool: SpotPoolRecord, share: number, now: Instant): SpotPoolRecord => ({
  ...pool,
  losses: pool.losses + 1,
  lostShares: [...pool.lostShares, share].slice(-MAX_SHARES),
  lostAt: now,
  calmSince: share < 1 ? now : null,
});

/** Every pool that lost something, with every other that could have or just had. */
function recordPairs(record: SpotRecord, { heldBefore, lost, launchMs }: SpotSeen, now: Instant): SpotRecord['pairs'] {
  const after = new Map(record.pairs);
  const justLost = lostSince(record, now - launchMs);
  for (const one of lost.keys()) {
    for (const other of new Set([...heldBefore.keys(), ...lost.keys(), ...justLost])) {
      // Two that are lost at the same moment are one pair.
      if (other === one || (lost.has(other) && other < one)) continue;
      const known = after.get(pairKey(one, other)) ?? APART;
      after.set(pairKey(one, other), withPairLoss(known, lost.has(other), justLost.has(other)));
    }
  }
  return after;
}

/** A loss that follows another within a launch is the second half of that one, which was counted. */
const withPairLoss = ({ losses, joint }: SpotPairRecord, isWithIt: boolean, isBeforeIt: boolean): SpotPairRecord => ({
  losses: losses + (isBeforeIt && !isWithIt ? 0 : 1),
  joint: joint + (isWithIt || isBeforeIt ? 1 : 0),
});

const lostSince = ({ pools }: SpotRecord, from: Instant): ReadonlySet<string> =>
  new Set([...pools].filter(([, { lostAt }]) => lostAt !== null && lostAt >= from).map(([pool]) => pool));

export const pairKey = (a: string, b: string): string => (a < b ? `${a} ${b}` : `${b} ${a}`);
