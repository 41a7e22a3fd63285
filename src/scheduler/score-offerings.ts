import { offeringKeyText } from '../clouds/offering-key.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { PricedCandidate } from './filter-offerings.ts';

export interface ScoredOffering extends PricedCandidate {
  /** Lower is better: pico-USD per hour that one replica is charged. Exact, so that equal prices are equal. */
  readonly score: PicoUsdPerHour;
}

/** Best first. Ties go by the offering's key, in code-unit order, so that the same market gives the same answer everywhere. */
export const scoreOfferings = (candidates: readonly PricedCandidate[]): ScoredOffering[] =>
  candidates
    .map((candidate) => ({
      scored: { ...candidate, score: candidate.price.effective },
      key: offeringKeyText(candidate.offering),
    }))
    .sort((a, b) => compare(a.scored.score, b.scored.score) || compare(a.key, b.key))
    .map(({ scored }) => scored);

const compare = <T extends bigint | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
