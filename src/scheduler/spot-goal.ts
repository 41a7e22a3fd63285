import { DAY_MS, HOUR_MS, type Instant } from '../kernel/instant.ts';
import type { SpotRecord } from './spot-record.ts';

/** What a user wants of spot capacity. */
export type SpotGoal =
  /** As cheap as can be while no replica is missing for longer than a launch and a look, as long as on-demand can be had. */
  | { readonly kind: 'thrifty' }
  /** Cheaper yet: a shortage waits for one look whether spot returns before on-demand is launched. */
  | { readonly kind: 'patient' }
  /** So many instances more than wished, on spot wherever there is some; who is missing gets on-demand beside the spot that is launched. */
  | { readonly kind: 'spares'; readonly spares: number }
  /** Share of the wished replica time that must be ready, 0 to 1. What may be missing is an error budget. 1 = on-demand only: spot promises nothing. */
  | { readonly kind: 'filled'; readonly share: number }
  /** The same share, at every moment since the beginning and whatever is lost: no more replicas are on spot than the error budget can lose at once. */
  | { readonly kind: 'kept'; readonly share: number };

/** What follows from a goal at a moment. */
export interface SpotTerms {
  /** What a missing replica is worth, in spot prices. */
  readonly missingPrice: number;
  /** Null = as many as pay. */
  readonly spares: number | null;
  /** From the beginning of a shortage until on-demand is launched beside spot that is on its way; null = never. */
  readonly patienceMs: number | null;
  /** On-demand is let go so long before its successor on spot is ready. */
  readonly yieldMs: number;
  /** Replicas that wait for one look whether spot returns. */
  readonly waiting: number;
  /** So many replicas may depend on spot; null = all. */
  readonly atRisk: number | null;
}

interface Wish {
  readonly replicas: number;
  readonly onDemandRatio: number;
  readonly launchMs: number;
  readonly lookMs: number;
  readonly goal: SpotGoal;
}

/** With a set number of spares this price says only which pools they are in. Higher: always the calmest ones, whatever moving there costs. */
const SPREAD_PRICE = 60;

/** The price of missing time for a share that must be filled, before anything was missing: this over the share that may be missing. */
const OPENING_PRICE = 0.02;

/** The error budget of so long a time changes that price e-fold. Higher: a goal is met late; lower: the price swings with every loss. */
const BUDGET_MS = 6 * HOUR_MS;

/** The error budget of so long a time may be spent on waiting at once. */
const WAITING_BUDGET_MS = DAY_MS;

/** `missing`: replicas that are not ready now. */
export function spotTerms(wish: Wish, record: SpotRecord, missing: number, now: Instant): SpotTerms {
  const { goal, replicas, lookMs } = wish;
  const terms = { missingPrice: 0, spares: null, patienceMs: null, yieldMs: 0, waiting: 0, atRisk: null };
  switch (goal.kind) {
    case 'thrifty':
      return { ...terms, patienceMs: lookMs, yieldMs: lookMs };
    case 'patient':
      return { ...terms, waiting: replicas };
    case 'spares':
      return { ...terms, missingPrice: SPREAD_PRICE, spares: goal.spares, patienceMs: 0 };
    case 'filled':
      return {
        ...terms,
        missingPrice: priceOfMissing(wish, goal.share, record, now),
        waiting: affordable(wish, goal.share, record, now),
      };
    case 'kept':
      return {
        ...terms,
        missingPrice: wish.onDemandRatio,
        patienceMs: 0,
        atRisk: losable(wish, budgetLeft(wish, goal.share, record, now), missing),
      };
  }
}

/**
 * The multiplier of the goal, found as one goes (dual ascent on "cost, so that no more is missing than allowed"): it rises by what was missing beyond
 * the budget and falls by what the budget has left. Never below the price of on-demand: nothing is left missing that could be bought.
 */
function priceOfMissing(wish: Wish, share: number, record: SpotRecord, now: Instant): number {
  if (share >= 1) return Infinity;
  const allowed = (1 - share) * wish.replicas;
  const debt = record.missingMs - allowed * (now - record.from);
  const price = (OPENING_PRICE / (1 - share)) * Math.exp(debt / (allowed * BUDGET_MS + wish.replicas * wish.launchMs));
  return Math.max(wish.onDemandRatio, price);
}

/** Replica-ms that may still be missing of what was wished for until now. */
const budgetLeft = ({ replicas }: Wish, share: number, record: SpotRecord, now: Instant): number =>
  (1 - share) * replicas * (now - record.from) - record.missingMs;

/** A look that takes no longer than a launch may show that on-demand was not needed; so many replicas can be without for that long. */
function affordable(wish: Wish, share: number, record: SpotRecord, now: Instant): number {
  const { replicas, launchMs, lookMs } = wish;
  if (lookMs > launchMs) return 0;
  const budget = budgetLeft(wish, share, record, now) + (1 - share) * replicas * WAITING_BUDGET_MS;
  return Math.max(0, Math.min(replicas, Math.floor(budget / (lookMs + launchMs))));
}

/** Replicas that can all be lost now, each missing for a launch, without the share being missed; those that are missing already count as long. */
const losable = ({ replicas, launchMs }: Wish, budget: number, missing: number): number =>
  Math.max(0, Math.min(replicas, Math.floor(budget / launchMs) - missing));
