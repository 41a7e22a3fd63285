import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { findContradiction, type Contradiction } from './check-policy.ts';
import { CostModel, totalOf, type PresentPlace } from './cost-model.ts';
import { replicasOfDemand, type Demand, type PlacementPolicy } from './demand.ts';
import { explainPlacement } from './explain-placement.ts';
import { firstReason, type Candidate, type Question, type Rejection, type RejectionCode } from './filter-offerings.ts';
import { makeOfferingIndex, type OfferingIndex } from './offering-index.ts';
import type { PlaceFacts } from './place-facts.ts';
import { cheapestRejected, scanOfferings, type Scan } from './scan-offerings.ts';
import { scoreRows, type ScoredOffering } from './score-offerings.ts';
import { fillPlaces, type FreeCapacity, type PlacedReplicas } from './fill-places.ts';

/** How many of the best, and of the rejected, a decision keeps. Higher bloats each decision row, lower hides the runners-up. */
const MAX_SHOWN = 20;
/** The best so many of each provider are always among them. Higher: the runners-up of one are pushed out; lower: one market is compared with itself. */
const MIN_OF_PROVIDER = 3;

export interface PlacementInput {
  readonly demand: Demand;
  readonly policy: PlacementPolicy;
  /** As they are, or once indexed for many decisions. */
  readonly candidates: readonly Candidate[] | OfferingIndex;
  readonly facts?: PlaceFacts;
  /** Machines that are paid for and have room. */
  readonly free?: readonly FreeCapacity[];
  /** Where it is now; absent or null = nowhere yet. */
  readonly present?: PresentPlace | null;
}

export interface Placement {
  /** The cheapest that fits; null when nothing does, and then `rejectedCounts` says why. */
  readonly chosen: ScoredOffering | null;
  /** Best first, the chosen one included; at most 20, the best three of each provider among them. */
  readonly best: readonly ScoredOffering[];
  /** At most 20: those that came closest, so the latest rule that rejected first, then the cheapest. */
  readonly rejected: readonly Rejection[];
  /** How many each reason rejected; only reasons that occurred. */
  readonly rejectedCounts: Readonly<Partial<Record<RejectionCode, number>>>;
  /** Where all the replicas go; empty when there is no room for all of them. */
  readonly places: readonly PlacedReplicas[];
  /** Of all places together. */
  readonly hourly: PicoUsdPerHour;
  /** What in the policy cannot be had together; null = nothing that was found. */
  readonly contradiction: Contradiction | null;
  /** What would lead to another choice, one sentence each. */
  readonly wouldChange: readonly string[];
}

/**
 * Chooses where the replicas of a demand go: filter, score, fill. A price that is not in force at `now` counts as none. The order of candidates does
 * not matter.
 */
export function planPlacement(input: PlacementInput, now: Instant): Placement {
  const { demand, policy, facts = {}, present = null } = input;
  const index = 'keyOf' in input.candidates ? input.candidates : makeOfferingIndex(input.candidates);
  const question: Question = { demand, policy, facts };
  const model = new CostModel(demand, present, facts.learned);
  const replicas = Math.max(1, replicasOfDemand(demand));
  const options = { replicas, model, now, shown: MAX_SHOWN };
  const scan = scanOfferings(index, question, options);
  const score = { index, question, model, replicas };
  const all = scoreRows(score, [...scan.best.values()].flat());
  const best = pickShown(all, ({ offering }) => offering.provider).map(({ row: _, ...scored }): ScoredOffering => scored);
  const filled = fillPlaces({ index, question, model, free: input.free ?? [], first: scan }, now);
  const hourly = (filled ?? []).reduce((all, { cost }) => all + totalOf(cost), 0n);
  const contradiction = findContradiction({ index, question, filled, hourly });
  const places = contradiction ? [] : (filled ?? []);
  const chosen = chosenOf(places, best);
  return {
    ...{ chosen, best, places, contradiction, hourly: places.length > 0 ? hourly : 0n },
    rejected: nearest({ index, question, now }, scan),
    rejectedCounts: scan.counts,
    wouldChange: explainPlacement({ index, question, model, chosen, best, places, elsewhere: elsewhereOf(scan, index) }),
  };
}

function chosenOf(places: readonly PlacedReplicas[], best: readonly ScoredOffering[]): ScoredOffering | null {
  const [first] = places;
  if (!first) return null;
  return best.find(({ offering }) => offering.id === first.offering.id) ?? best[0] ?? null;
}

/** The best of all, with the best few of each provider, in order. */
function pickShown<T>(all: readonly T[], providerOf: (one: T) => string): T[] {
  const seen = new Map<string, number>();
  const kept = new Set(
    all.filter((one) => {
      const before = seen.get(providerOf(one)) ?? 0;
      seen.set(providerOf(one), before + 1);
      return before < MIN_OF_PROVIDER;
    }),
  );
  for (const one of all) if (kept.size < MAX_SHOWN) kept.add(one);
  return all.filter((one) => kept.has(one)).slice(0, MAX_SHOWN);
}

/** Later rules first: what failed only on price or accelerator is more telling than what is in another continent. */
const NEARNESS: readonly (readonly RejectionCode[])[] = [
  ['NOT_RENTABLE_HERE'],
  ['NO_QUOTA', 'STOCK_OUT'],
  ['ABOVE_SPEND_CAP'],
  ['PRICE_STALE'],
  ['UNPRICED'],
  ['ACCELERATOR_MEMORY', 'ACCELERATOR_COUNT'],
  ['ACCELERATOR_MODEL'],
  ['ACCELERATOR_MISSING'],
  ['MEMORY_TOO_SMALL'],
  ['MEMORY_UNKNOWN'],
  ['CPU_TOO_SMALL'],
  ['ARCHITECTURE'],
  ['CAPACITY_TYPE_NOT_ALLOWED'],
  ['LATENCY_TOO_LONG', 'LATENCY_UNKNOWN'],
  ['NOT_APART', 'NOT_NEAR'],
  ['PROVIDER_NOT_ALLOWED'],
  ['RESIDENCY'],
  ['REGION_NOT_ALLOWED'],
];

const elsewhereOf = (scan: Scan, index: OfferingIndex): readonly number[] =>
  pickShown(sortRows(index, [...scan.elsewhere.values()].flat()), (row) => index.candidates[row]?.offering.provider ?? '');

interface Looked {
  readonly index: OfferingIndex;
  readonly question: Question;
  readonly now: Instant;
}

function nearest(looked: Looked, scan: Scan): Rejection[] {
  const { index } = looked;
  const rows: number[] = [];
  for (const codes of NEARNESS) {
    if (rows.length >= MAX_SHOWN) break;
    const isElsewhere = codes.includes('NOT_RENTABLE_HERE');
    if (isElsewhere) rows.push(...elsewhereOf(scan, index));
    else if (codes.some((code) => scan.counts[code])) rows.push(...cheapestRejected(index, scan, codes, MAX_SHOWN));
  }
  return rows.slice(0, MAX_SHOWN).map((row) => rejectionOf(looked, row));
}

/** By price, the unpriced last, ties by key. */
function sortRows(index: OfferingIndex, rows: readonly number[]): number[] {
  const priceOf = (row: number): number => {
    const price = index.price[row] ?? NaN;
    return Number.isNaN(price) ? Infinity : price;
  };
  return [...rows].sort((a, b) => {
    const [left, right] = [priceOf(a), priceOf(b)];
    if (left !== right) return left - right;
    return index.keyOf(a) < index.keyOf(b) ? -1 : 1;
  });
}

function rejectionOf({ index, question, now }: Looked, row: number): Rejection {
  const candidate = index.candidates[row];
  invariant(candidate, `row ${row} of the offerings`);
  const { offering, price } = candidate;
  const inForce = price?.state === 'believed' && price.effectiveFrom <= now ? price : null;
  const verdict = firstReason(question, { offering, price: inForce });
  invariant(verdict, `row ${row} of the offerings was rejected`);
  return { offering, code: verdict[0], message: verdict[1] };
}
