import type { Id } from '../kernel/id.ts';
import { HOUR_MS, MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { PicoUsd, PicoUsdPerHour } from '../kernel/money.ts';
import { isWorthIt, WORTH_IT, type RateStep, type WorthItVerdict } from '../pricing/worth-it.ts';
import type { PricedPool } from './placement.ts';
import type { Workload } from './replica.ts';
import { machinesOf } from './workload-cost.ts';

/** A deployment that runs, and where the same wish would go if it were placed anew. */
export interface MoveQuestion {
  /** Of the revision that gets the traffic: those not removed. */
  readonly held: readonly Workload[];
  readonly places: readonly PricedPool[];
  /** By offering: what a machine has cost, as change points. */
  readonly steps: ReadonlyMap<Id, readonly RateStep[]>;
  readonly disruption: { readonly underWay: number; readonly allowed: number };
}

/** Both sides are paid for so long: a machine is rented, joins, fetches the model, traffic shifts. Higher: less is moved; lower: slow starts cost more than was thought. */
const BOTH_MS = 15 * MINUTE_MS;
/** What may go wrong is worth so long of what it costs now. Higher and lower likewise. */
const MISTAKE_MS = HOUR_MS;

/** Null = it would stay where it is. Answers to callers and the artifact are counted against a move, and what they cost now is not counted for it. */
export function judgeMove({ held, places, steps, disruption }: MoveQuestion, now: Instant): WorthItVerdict | null {
  const here = new Set(held.map(({ poolId }) => poolId));
  if (places.length === 0 || (places.length === here.size && places.every(({ pool }) => here.has(pool.id)))) return null;
  const counted = (offeringId: Id, machines: number): Counted => ({ steps: steps.get(offeringId) ?? [], machines });
  const paid = sumOfSteps(held.map((one) => counted(one.offeringId, machinesOf(one))));
  const wanted = sumOfSteps(places.map((one) => counted(one.offeringId, machinesOf(one))));
  const during = (rates: readonly RateStep[], ms: number): PicoUsd => ((rates.at(-1)?.rate ?? 0n) * BigInt(ms)) / BigInt(HOUR_MS);
  const egress = places.reduce((all, { rented }) => all + (rented?.cost.egress ?? 0n), 0n);
  const act = {
    now: paid,
    then: wanted,
    costs: {
      move: (egress * BigInt(WORTH_IT.horizonMs)) / BigInt(HOUR_MS),
      coldStart: during(wanted, BOTH_MS),
      risk: during(paid, MISTAKE_MS),
    },
    lastAt: Math.max(...held.map(({ createdAt }) => createdAt)),
    disruption,
  };
  return isWorthIt(act, WORTH_IT, now);
}

interface Counted {
  readonly steps: readonly RateStep[];
  readonly machines: number;
}

/** What all of them cost together, from when each has a price. */
export function sumOfSteps(parts: readonly Counted[]): RateStep[] {
  const from = Math.max(...parts.map(({ steps }) => steps[0]?.from ?? Infinity));
  if (!Number.isFinite(from)) return [];
  const cuts = parts.flatMap(({ steps }) => steps.map((step) => step.from)).filter((at) => at >= from);
  const rateAt = ({ steps }: Counted, at: Instant): PicoUsdPerHour => steps.findLast((step) => step.from <= at)?.rate ?? 0n;
  return [...new Set(cuts)]
    .sort((a, b) => a - b)
    .map((at) => ({ from: at, rate: parts.reduce((all, part) => all + rateAt(part, at) * BigInt(part.machines), 0n) }));
}
