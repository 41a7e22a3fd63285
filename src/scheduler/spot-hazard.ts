import { HOUR_MS, MINUTE_MS } from '../kernel/instant.ts';

/**
 * The older what one holds in a pool, the less likely it is taken: losses per hour at age t are SHAPE / (t + SCALE). That is what remains of a rate
 * that is constant while a pool is up and differs from one such time to the next by a Gamma distribution (its posterior mean after t without a loss;
 * the times are then Lomax distributed). Read off the bundled traces, where all pools of any cloud fall from 1–3 losses per hour in the first quarter
 * of an hour to 0.05–0.2 after eight hours; the formula says 1.9 and 0.08.
 */
const SHAPE = 0.7;
const SCALE_MS = 15 * MINUTE_MS;

/** Losses that a typical pool has between two ages, in ms without a loss. */
export const expectedLosses = (from: number, to: number): number => SHAPE * Math.log((to + SCALE_MS) / (from + SCALE_MS));

/** Share of instances interrupted within a month, in percent: the upper ends of the bands that Spot Advisor publishes. */
const BANDS: Readonly<Record<string, number>> = { '<5%': 5, '5-10%': 10, '10-15%': 15, '15-20%': 20, '>20%': 30 };
const MONTH_MS = 730 * HOUR_MS;

/**
 * How much more often than a typical pool one of this band loses something: the factor f with which a share p does not outlive a month, so that
 * exp(−f · expectedLosses(0, month)) = 1 − p. From 0.009 (`<5%`) to 0.064 (`>20%`); the traces are of pools that were sought after. Unknown: 1.
 */
export function lossFactorOf(interruptionBand: string | null): number {
  const percent = interruptionBand === null ? undefined : BANDS[interruptionBand];
  return percent === undefined ? 1 : -Math.log(1 - percent / 100) / expectedLosses(0, MONTH_MS);
}
