import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { ForetoldPrice } from './judge-price.ts';
import { believedRowAt, isOverride, type PriceRow } from './price-book.ts';

/** What the book says of an offering from now on. */
export interface BookOutlook {
  /** In force; null = nothing. */
  readonly lastGood: PicoUsdPerHour | null;
  /** What will be, the earliest first. */
  readonly announced: readonly ForetoldPrice[];
}

/** Of one offering's rows, but for what somebody set by hand. */
export function outlookOf(rows: readonly PriceRow[], now: Instant): BookOutlook {
  const observed = rows.filter((row) => !isOverride(row));
  const listAt = (at: Instant): PicoUsdPerHour | null => believedRowAt(observed, at)?.list ?? null;
  const later = [...new Set(observed.map(({ effectiveFrom }) => effectiveFrom))].filter((at) => at > now).sort((a, b) => a - b);
  const announced = later.flatMap((at) => {
    const amount = listAt(at);
    return amount === null ? [] : [{ at, amount }];
  });
  return { lastGood: listAt(now), announced };
}

/**
 * From when on the book must say something else, so that `amount` counts from its date on and, until then, what is in force: what was announced
 * otherwise is over. A first price counts from its date even where that has passed, a later one never for the past.
 */
export function movesOf(
  { amount, effectiveFrom }: { readonly amount: PicoUsdPerHour; readonly effectiveFrom: Instant | null },
  { lastGood, announced }: BookOutlook,
  now: Instant,
): ForetoldPrice[] {
  const from = lastGood === null ? (effectiveFrom ?? now) : Math.max(effectiveFrom ?? now, now);
  const instants = [...new Set([from, ...announced.map(({ at }) => at)])].sort((a, b) => a - b);
  const moves: ForetoldPrice[] = [];
  let standing = lastGood;
  for (const at of instants) {
    standing = announced.find((step) => step.at === at)?.amount ?? standing;
    const wanted = at >= from ? amount : lastGood;
    if (wanted === null || wanted === standing) continue;
    moves.push({ at, amount: wanted });
    standing = wanted;
  }
  return moves;
}
