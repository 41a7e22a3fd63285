import { HOUR_MS } from '../kernel/instant.ts';
import { expectedLosses } from './spot-hazard.ts';

/** What was lived through with one kind of spot capacity, over all pools of it. */
export interface LivedThrough {
  /** Times that instances were taken away. */
  readonly losses: number;
  /** How often a typical pool would have lost something in the same time. */
  readonly expected: number;
}

const MONTH_MS = 730 * HOUR_MS;
/** What is published weighs as much as so many losses. Higher: it is learned late; lower: one loss condemns a market. */
const PRIOR_LOSSES = 2;

/**
 * How much more often instances are interrupted than is published, by one's own record: the mean of a Gamma posterior over the published rate. 1 where nothing
 * was lived through; below 1 once a market was held for long without a loss. `percentOfMonth` is what is published: the share that is interrupted in a month.
 */
export function learnedFactor({ losses, expected }: LivedThrough, percentOfMonth: number): number {
  const published = -Math.log(1 - percentOfMonth / 100) / expectedLosses(0, MONTH_MS);
  return (losses / published + PRIOR_LOSSES) / (expected + PRIOR_LOSSES);
}
