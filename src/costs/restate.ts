import { addAmounts, isNothing, tieKey, ZERO, type Amounts, type LineShare, type UsageGroup } from './attribute-costs.ts';

/** The sum of the lines 0…n−1 under one key, and n. */
export interface BookedLine extends LineShare {
  readonly lines: number;
}

/** A line to append: its amounts are what is missing. */
export interface NewLine extends LineShare {
  readonly n: number;
}

/**
 * The lines that make the booked ones say what is true now: line n = new − Σ lines 0…n−1, only where that is not zero. Lines are
 * never edited, so the same truth again writes nothing.
 */
export function restate(booked: readonly BookedLine[], truth: readonly LineShare[]): NewLine[] {
  const now = new Map(truth.map((line) => [keyOf(line), line]));
  const before = new Map(booked.map((line) => [keyOf(line), line]));
  return [...new Set([...now.keys(), ...before.keys()])].flatMap((key) => {
    const line = difference(now.get(key), before.get(key));
    return line && !isNothing(line) ? [line] : [];
  });
}

const keyOf = (line: { priceId: string | null; state: string; group: UsageGroup | null }): string =>
  `${line.priceId ?? ''}\0${line.state}\0${tieKey(line.group)}`;

function difference(now: LineShare | undefined, before: BookedLine | undefined): NewLine | null {
  const named = now ?? before;
  if (!named) return null;
  const { priceId, state, group } = named;
  const [target, booked] = [now ?? NONE, before ?? NONE];
  return { priceId, state, group, n: booked.lines ?? 0, ms: target.ms - booked.ms, ...addAmounts(target, negative(booked)) };
}

const NONE: Amounts & { readonly ms: number; readonly lines?: number } = { ...ZERO, ms: 0 };

const negative = ({ list, contracted, effective }: Amounts): Amounts => ({
  list: -list,
  contracted: -contracted,
  effective: -effective,
});
