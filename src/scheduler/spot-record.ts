import { HOUR_MS, type Instant } from '../kernel/instant.ts';

/** What was seen of one pool of spot capacity. */
export interface SpotPoolRecord {
  /** Instance-ms that were held there. */
  readonly heldMs: number;
  /** Times that instances were taken away. */
  readonly losses: number;
  /** Sum over these times of the share that was taken of those held. */
  readonly lostShares: number;
}

/** What one has lived through with spot capacity; everything that a plan needs to know of the past. */
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
}

/** What was held from the last look until now, and what was taken away just now. */
export interface SpotSeen {
  readonly replicas: number;
  /** Replicas that were ready until now. */
  readonly readyBefore: number;
  /** Replicas that are ready from now on. */
  readonly ready: number;
  /** Instances held until now, by pool. */
  readonly heldBefore: ReadonlyMap<string, number>;
  /** Instances taken away at this moment, by pool. */
  readonly lost: ReadonlyMap<string, number>;
}

/** Believed of a pool before it was ever used: so many losses in such a time. Higher: new pools are shunned; lower: they are trusted blindly. */
const PRIOR_LOSSES = 0.5;
const PRIOR_MS = HOUR_MS;

const UNUSED: SpotPoolRecord = { heldMs: 0, losses: 0, lostShares: 0 };

export const newSpotRecord = (now: Instant): SpotRecord => ({
  from: now,
  at: now,
  missingMs: 0,
  shortSince: null,
  shortUntil: null,
  pools: new Map(),
});

/** The record after what was seen at `now`. Order matters, repetition does not if nothing happened between. */
export function recordSpot(record: SpotRecord, seen: SpotSeen, now: Instant): SpotRecord {
  const elapsed = now - record.at;
  const missing = Math.max(0, seen.replicas - seen.readyBefore);
  const shortBefore = missing > 0 && elapsed > 0 ? record.at : null;
  const shortSince = record.shortSince ?? shortBefore;
  const isFull = seen.ready >= seen.replicas;
  return {
    from: record.from,
    at: now,
    missingMs: record.missingMs + missing * elapsed,
    shortSince: isFull ? null : (shortSince ?? now),
    shortUntil: isFull && shortSince !== null ? now : record.shortUntil,
    pools: recordPools(record.pools, seen, elapsed),
  };
}

function recordPools(before: SpotRecord['pools'], { heldBefore, lost }: SpotSeen, elapsed: number): SpotRecord['pools'] {
  const pools = new Map(before);
  for (const pool of new Set([...heldBefore.keys(), ...lost.keys()])) {
    const known = pools.get(pool) ?? UNUSED;
    const held = heldBefore.get(pool) ?? 0;
    const gone = lost.get(pool) ?? 0;
    pools.set(pool, {
      heldMs: known.heldMs + held * elapsed,
      losses: known.losses + Math.sign(gone),
      lostShares: known.lostShares + (held === 0 ? 0 : gone / held),
    });
  }
  return pools;
}

/** Losses per instance-ms to be expected of a pool: the mean of a Gamma posterior (conjugate to Poisson losses). */
export function lossRate(record: SpotRecord, pool: string): number {
  const { heldMs, losses } = record.pools.get(pool) ?? UNUSED;
  return (losses + PRIOR_LOSSES) / (heldMs + PRIOR_MS);
}

/** Share of what a pool holds that a loss takes, to be expected: everything until it has been seen to take less. */
export function lossShare(record: SpotRecord, pool: string): number {
  const { losses, lostShares } = record.pools.get(pool) ?? UNUSED;
  return (lostShares + 1) / (losses + 1);
}

export const hadLosses = (record: SpotRecord): boolean => [...record.pools.values()].some(({ losses }) => losses > 0);
