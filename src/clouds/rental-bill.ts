import { hourOf, HOUR_MS, type Instant } from '../kernel/instant.ts';
import { costOfInterval, type PicoUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import type { Bill, BillLine } from './bill.port.ts';
import type { Rental, RentedKind } from './rentals.ts';

/** A stretch of time under one price. */
export interface RateStep {
  readonly from: Instant;
  readonly to: Instant;
  readonly rate: PicoUsdPerHour;
}

export interface BillQuestion {
  readonly from: Instant;
  readonly to: Instant;
  /** What has not happened yet is not charged. */
  readonly now: Instant;
  readonly serviceName: string;
  /** Covers `[from, to)` without gaps, in order. */
  readonly stepsOf: (kind: RentedKind, from: Instant, to: Instant) => readonly RateStep[];
}

/** One line per machine and UTC hour in which it was there, from its start until it was given back or taken away. */
export function billOfRentals(rentals: readonly Rental[], question: BillQuestion): Bill {
  const { from, to, now } = question;
  const lines = rentals.flatMap((rental) => linesOf(rental, question));
  return { lines, unreadable: [], isFinal: Math.max(from, to) <= hourOf(now) };
}

function linesOf({ kind, instanceId, startedAt, stoppedAt }: Rental, question: BillQuestion): BillLine[] {
  const until = Math.min(stoppedAt ?? question.now, question.now);
  const first = Math.max(hourOf(startedAt), hourOf(question.from + HOUR_MS - 1));
  const lines: BillLine[] = [];
  for (let hour = first; hour < Math.min(until, question.to); hour += HOUR_MS) {
    const piece = { from: Math.max(hour, startedAt), to: Math.min(hour + HOUR_MS, until) };
    const cost = costOf(question.stepsOf(kind, piece.from, piece.to));
    lines.push({
      ...{ chargePeriodStart: hour, chargePeriodEnd: hour + HOUR_MS, chargeCategory: 'Usage' },
      ...{ serviceName: question.serviceName, regionId: kind.region, resourceId: instanceId },
      ...{ billedCost: cost, effectiveCost: cost, listCost: null },
      tags: { instanceType: kind.instanceType, capacityType: kind.capacityType },
    });
  }
  return lines;
}

const costOf = (steps: readonly RateStep[]): PicoUsd =>
  steps.reduce((sum, { rate, from, to }) => sum + costOfInterval(rate, from, to), 0n);
