import type { Id } from '../kernel/id.ts';
import { HOUR_MS, type Instant } from '../kernel/instant.ts';
import { formatUsd, PICO_PER_USD, type PicoUsdPerHour } from '../kernel/money.ts';

/** A pool was asked to have more nodes; those that its provider refused are left out. */
export interface Growth {
  readonly poolId: Id;
  readonly at: Instant;
  readonly nodes: number;
  /** What they cost in all; null = nobody knows. */
  readonly hourly: PicoUsdPerHour | null;
}

/** Growth that somebody has to look at: of one pool, or (null) of all. */
export interface GrowthHold {
  readonly id: Id;
  readonly poolId: Id | null;
  readonly heldAt: Instant;
  readonly message: string;
  /** Null = it is held. */
  readonly releasedAt: Instant | null;
}

/** What may be added within the window before a person is asked. */
export interface VelocityLimits {
  /** Higher: a slow runaway is caught; lower: it is forgotten before it is large. */
  readonly windowMs: number;
  /** Of one pool, and of all pools together. Higher: a runaway is dearer; lower: honest bursts wait for a person. */
  readonly poolNodes: number;
  readonly nodes: number;
  /** What all additions of the window cost per hour. Higher and lower likewise. */
  readonly hourly: PicoUsdPerHour;
}

export const VELOCITY_LIMITS: VelocityLimits = {
  ...{ windowMs: HOUR_MS, poolNodes: 100, nodes: 300, hourly: 1_000n * PICO_PER_USD },
};

/** What has been added, and what is held. */
export interface VelocityRecord {
  /** At least those of the window. */
  readonly growths: readonly Growth[];
  /** Those that are held, and the last released one of each. */
  readonly holds: readonly GrowthHold[];
}

export interface VelocityVerdict {
  /** So many of the nodes asked for may be added. */
  readonly allowed: number;
  /** What is to be held from now on; null = nothing more. */
  readonly trip: { readonly poolId: Id | null; readonly message: string } | null;
  /** Why growth is held; null = it is not. */
  readonly held: string | null;
}

/**
 * Whether a pool may add so many nodes now. Whatever would pass a limit is cut to it, and growth is held from then on until a person lets it go
 * on: what was added before that is not counted again. Giving back is never asked about.
 */
export function checkVelocity(
  wanted: Pick<Growth, 'poolId' | 'nodes' | 'hourly'>,
  record: VelocityRecord,
  limits: VelocityLimits,
  now: Instant,
): VelocityVerdict {
  const { poolId } = wanted;
  const standing = record.holds.find((hold) => hold.releasedAt === null && (hold.poolId === null || hold.poolId === poolId));
  if (standing) return { allowed: 0, trip: null, held: standing.message };
  const all = counted(record, null, now - limits.windowMs);
  const own = counted(record, poolId, now - limits.windowMs).filter((growth) => growth.poolId === poolId);
  const pool = Math.max(0, limits.poolNodes - nodesOf(own));
  const installation = Math.min(Math.max(0, limits.nodes - nodesOf(all)), affordable(wanted, limits.hourly - hourlyOf(all)));
  const allowed = Math.min(wanted.nodes, pool, installation);
  if (allowed === wanted.nodes) return { allowed, trip: null, held: null };
  const isPool = pool <= installation;
  const growths = isPool ? own : all;
  const message = tripped({ growths, isPool, limits, wanted });
  return { allowed, trip: { poolId: isPool ? poolId : null, message }, held: null };
}

/** Within the window, and after the last time that somebody let it go on. */
function counted({ growths, holds }: VelocityRecord, poolId: Id | null, from: Instant): Growth[] {
  const released = holds.filter((hold) => hold.poolId === poolId).map(({ releasedAt }) => releasedAt ?? 0);
  const since = Math.max(from, ...released);
  return growths.filter(({ at }) => at > since);
}

const nodesOf = (growths: readonly Growth[]): number => growths.reduce((all, { nodes }) => all + nodes, 0);

const hourlyOf = (growths: readonly Growth[]): PicoUsdPerHour => growths.reduce((all, { hourly }) => all + (hourly ?? 0n), 0n);

/** How many of them the rest of the money is enough for; without a price only their number is limited. */
function affordable({ nodes, hourly }: Pick<Growth, 'nodes' | 'hourly'>, left: PicoUsdPerHour): number {
  if (hourly === null || hourly === 0n || nodes === 0) return nodes;
  return left <= 0n ? 0 : Math.min(nodes, Number((left * BigInt(nodes)) / hourly));
}

function tripped({
  growths,
  isPool,
  limits,
  wanted,
}: {
  readonly growths: readonly Growth[];
  readonly isPool: boolean;
  readonly limits: VelocityLimits;
  readonly wanted: Pick<Growth, 'nodes'>;
}): string {
  const minutes = Math.round(limits.windowMs / 60_000);
  const most = isPool ? `${limits.poolNodes}` : `${limits.nodes}, at ${formatUsd(limits.hourly)} USD per hour`;
  const added = `${nodesOf(growths)} nodes at ${formatUsd(hourlyOf(growths))} USD per hour`;
  return (
    `${isPool ? 'it' : 'all pools together'} added ${added} within ${minutes} minutes and want${isPool ? 's' : ''} ${wanted.nodes} more; ` +
    `at most ${most} may be added. See why it grows, then let it go on: purser clusters resume-growth.`
  );
}
