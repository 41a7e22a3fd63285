import { matchesStars } from '../kernel/star-pattern.ts';

/** True if one of the patterns means the region (`aws/us-east-1`): itself, or with `*` for any stretch of characters (`aws/*`, `*us-*`). */
export const meansAnyRegion = (patterns: readonly string[], region: string): boolean =>
  patterns.some((pattern) => matchesStars(pattern, region));
