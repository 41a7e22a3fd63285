import { invariant } from '../kernel/invariant.ts';
import type { Random } from '../kernel/random.ts';

export interface BackoffLimits {
  /** The wait after the first failure, in ms. */
  readonly baseMs: number;
  /** No wait is longer, in ms. */
  readonly maxMs: number;
}

/**
 * The wait after `failures` failures in a row: doubling from `baseMs` to `maxMs`, then anywhere in its upper half, so that instances
 * that failed together do not come back together.
 */
export function backoffMs(failures: number, limits: BackoffLimits, random: Random): number {
  invariant(failures >= 1, `backoff: failures ${failures}`);
  // 2^30 is beyond any limit; more would overflow to infinity.
  const full = Math.min(limits.maxMs, limits.baseMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(full / 2 + random.fraction() * (full / 2));
}
