import { offeringKeyText } from '../clouds/offering-key.ts';
import type { Instant } from '../kernel/instant.ts';
import {
  filterOfferings,
  type Candidate,
  type Demand,
  type PlacementPolicy,
  type Rejection,
  type RejectionCode,
} from './filter-offerings.ts';
import { scoreOfferings, type ScoredOffering } from './score-offerings.ts';

/** How many of the best, and of the rejected, a decision keeps. Higher bloats each decision row, lower hides the runners-up. */
const MAX_SHOWN = 20;

export interface PlacementInput {
  readonly demand: Demand;
  readonly policy: PlacementPolicy;
  readonly candidates: readonly Candidate[];
}

export interface Placement {
  /** The cheapest that fits; null when nothing does, and then `rejectedCounts` says why. */
  readonly chosen: ScoredOffering | null;
  /** Best first, the chosen one included; at most 20. */
  readonly best: readonly ScoredOffering[];
  /** At most 20: those that came closest, so the latest rule that rejected first, then the cheapest. */
  readonly rejected: readonly Rejection[];
  /** How many each reason rejected; only reasons that occurred. */
  readonly rejectedCounts: Readonly<Partial<Record<RejectionCode, number>>>;
}

/** Chooses an offering for one replica. A price that is not in force at `now` counts as none. The order of candidates does not matter. */
export function planPlacement(input: PlacementInput, now: Instant): Placement {
  const candidates = input.candidates.map((candidate) => inForceAt(candidate, now));
  const { kept, rejected } = filterOfferings(input.demand, input.policy, candidates);
  const scored = scoreOfferings(kept);
  return {
    chosen: scored[0] ?? null,
    best: scored.slice(0, MAX_SHOWN),
    rejected: nearest(rejected, candidates),
    rejectedCounts: countByCode(rejected),
  };
}

const inForceAt = (candidate: Candidate, now: Instant): Candidate =>
  candidate.price && candidate.price.effectiveFrom <= now && candidate.price.state === 'believed'
    ? candidate
    : { ...candidate, price: null };

/** Later rules first: what failed only on price or accelerator is more telling than what is in another continent. */
const NEARNESS: Readonly<Record<RejectionCode, number>> = {
  ABOVE_SPEND_CAP: 0,
  UNPRICED: 1,
  ACCELERATOR_MEMORY: 2,
  ACCELERATOR_COUNT: 2,
  ACCELERATOR_MODEL: 3,
  ACCELERATOR_MISSING: 4,
  MEMORY_TOO_SMALL: 5,
  MEMORY_UNKNOWN: 6,
  CPU_TOO_SMALL: 7,
  ARCHITECTURE: 8,
  CAPACITY_TYPE_NOT_ALLOWED: 9,
  PROVIDER_NOT_ALLOWED: 10,
  REGION_NOT_ALLOWED: 11,
};

function nearest(rejected: readonly Rejection[], candidates: readonly Candidate[]): Rejection[] {
  const prices = new Map(candidates.map(({ offering, price }) => [offering.id, price?.effective]));
  return rejected
    .map((rejection) => ({ rejection, price: prices.get(rejection.offering.id), key: offeringKeyText(rejection.offering) }))
    .sort(
      (a, b) =>
        NEARNESS[a.rejection.code] - NEARNESS[b.rejection.code] || comparePrices(a.price, b.price) || (a.key < b.key ? -1 : 1),
    )
    .slice(0, MAX_SHOWN)
    .map(({ rejection }) => rejection);
}

function comparePrices(a: bigint | undefined, b: bigint | undefined): number {
  if (a === b) return 0;
  if (a === undefined) return 1;
  return b === undefined || a < b ? -1 : 1;
}

function countByCode(rejected: readonly Rejection[]): Partial<Record<RejectionCode, number>> {
  const counts: Partial<Record<RejectionCode, number>> = {};
  for (const { code } of rejected) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}
