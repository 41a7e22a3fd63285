import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';

/** Source of a price that somebody set by hand; it wins over every observed one. */
export const OVERRIDE_SOURCE = 'override';
/** Source of the row that ends an override: from then on observed prices count again. Its amounts mean nothing. */
export const OVERRIDE_CLEARED_SOURCE = 'override-cleared';

/** Largest price that can be set: a thousand million dollars per hour. Higher overflows sums of `numeric(38,0)`. */
export const MAX_PRICE: PicoUsdPerHour = 10n ** 21n;

/** One price of one offering. Rows are facts: a new price is a new row, never a changed one. */
export interface PriceRow {
  readonly id: Id;
  readonly offeringId: Id;
  /** Pico-USD per hour of the whole instance: as published, as contracted, and as it is charged. */
  readonly list: PicoUsdPerHour;
  readonly contracted: PicoUsdPerHour;
  readonly effective: PicoUsdPerHour;
  /** In force from this instant on. */
  readonly effectiveFrom: Instant;
  /** When it became known. */
  readonly observedAt: Instant;
  /** Where it comes from, with the date of that source: `karpenter-aws@2026-07-20`. */
  readonly source: string;
  /** Only believed rows count; the others wait for a person. */
  readonly state: 'believed' | 'quarantined';
  /** True: those who should confirm it have been silent for too long, so that nothing is decided by it. */
  readonly stale?: boolean;
}

/** A stretch of time under one believed price row. */
export interface PriceStep {
  readonly from: Instant;
  readonly to: Instant;
  readonly priceId: Id;
  readonly rate: PicoUsdPerHour;
}

/**
 * The believed prices of one offering over `[from, to)`, oldest first, without overlap. A stretch before the first price has no step:
 * it is unpriced. At each instant the row with the latest `effectiveFrom` is in force, of equals the one known last; overrides
 * win over observations. `rows` may be in any order and must be of one offering.
 */
export function believedSteps(rows: readonly PriceRow[], from: Instant, to: Instant): PriceStep[] {
  invariant(from <= to, `believedSteps: from ${from}, to ${to}`);
  if (from === to) return [];
  const cuts = rows.map((row) => row.effectiveFrom).filter((at) => at > from && at < to);
  const bounds = [...new Set([from, ...cuts, to])].sort((a, b) => a - b);
  const steps: PriceStep[] = [];
  for (const [index, start] of bounds.slice(0, -1).entries()) {
    const row = believedRowAt(rows, start);
    const end = bounds[index + 1] ?? to;
    if (row) appendStep(steps, { from: start, to: end, priceId: row.id, rate: row.effective });
  }
  return steps;
}

/** The one row that is in force at `at`; null = unpriced. */
export function believedRowAt(rows: readonly PriceRow[], at: Instant): PriceRow | null {
  const inForce = rows.filter((row) => row.state === 'believed' && row.effectiveFrom <= at);
  const override = latest(inForce.filter((row) => isOverride(row)));
  if (override?.source === OVERRIDE_SOURCE) return override;
  return latest(inForce.filter((row) => !isOverride(row)));
}

export const isOverride = (row: PriceRow): boolean => row.source === OVERRIDE_SOURCE || row.source === OVERRIDE_CLEARED_SOURCE;

const latest = (rows: readonly PriceRow[]): PriceRow | null =>
  rows.reduce<PriceRow | null>((best, row) => (best === null || isLater(row, best) ? row : best), null);

const isLater = (row: PriceRow, than: PriceRow): boolean =>
  (row.effectiveFrom - than.effectiveFrom || row.observedAt - than.observedAt || (row.id < than.id ? -1 : 1)) > 0;

/** A cut that changes nothing (a quarantined or overruled row) must not cut a step, or rounding would differ by who asks. */
function appendStep(steps: PriceStep[], step: PriceStep): void {
  const last = steps.at(-1);
  if (last?.priceId === step.priceId && last.to === step.from) steps[steps.length - 1] = { ...last, to: step.to };
  else steps.push(step);
}
