import { invariant } from './invariant.ts';
import { HOUR_MS, type Instant } from './instant.ts';

/** Integer pico-dollars: 10⁻¹² USD. Never a float. */
export type PicoUsd = bigint;

/** Integer pico-dollars per hour. */
export type PicoUsdPerHour = bigint;

export const PICO_PER_USD = 1_000_000_000_000n;

const HOUR = BigInt(HOUR_MS);
const DECIMAL = /^(-?)(\d{1,26})(?:\.(\d{1,12}))?$/;

/** Reads a decimal string of USD (at most 12 decimals) exactly; null if it is not one. */
export function parseUsd(text: string): PicoUsd | null {
  const match = DECIMAL.exec(text);
  if (!match) return null;
  const [, sign, whole = '0', fraction = ''] = match;
  const magnitude = BigInt(whole) * PICO_PER_USD + BigInt(fraction.padEnd(12, '0'));
  return sign === '-' ? -magnitude : magnitude;
}

/** The shortest exact decimal string of USD: `1500000000000n` → `"1.5"`. */
export function formatUsd(amount: PicoUsd): string {
  const magnitude = amount < 0n ? -amount : amount;
  const fraction = (magnitude % PICO_PER_USD).toString().padStart(12, '0').replace(/0+$/, '');
  return `${amount < 0n ? '-' : ''}${magnitude / PICO_PER_USD}${fraction ? `.${fraction}` : ''}`;
}

/**
 * Cost of running `[from, to)` at `rate`: `div(r·to, 3 600 000) − div(r·from, 3 600 000)`. With absolute instants adjoining pieces
 * sum to the whole, however time is cut.
 */
export function costOfInterval(rate: PicoUsdPerHour, from: Instant, to: Instant): PicoUsd {
  invariant(rate >= 0n && from <= to && from >= 0, `costOfInterval: rate ${rate}, from ${from}, to ${to}`);
  return (rate * BigInt(to)) / HOUR - (rate * BigInt(from)) / HOUR;
}

/**
 * Splits `total` by integer weights, by largest remainder: floors first, then one each to the larger remainders, ties by `key` in
 * byte order. The parts sum to `total`; a zero weight gets nothing. All weights zero (or none) → an empty map.
 */
export function splitByLargestRemainder(
  total: bigint,
  weights: readonly { readonly key: string; readonly weight: bigint }[],
): Map<string, bigint> {
  invariant(total >= 0n, `splitByLargestRemainder: total ${total}`);
  const parts = weights.filter((part) => part.weight > 0n);
  const sum = parts.reduce((all, part) => all + part.weight, 0n);
  const shares = parts.map(({ key, weight }) => ({
    key,
    share: (total * weight) / sum,
    remainder: (total * weight) % sum,
  }));
  const left = Number(total - shares.reduce((all, part) => all + part.share, 0n));
  if (left > 0) {
    const order = [...shares].sort((a, b) => compareBig(b.remainder, a.remainder) || compareBytes(a.key, b.key));
    for (const part of order.slice(0, left)) part.share += 1n;
  }
  return new Map(shares.map(({ key, share }) => [key, share]));
}

const compareBig = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** Order of the UTF-8 bytes; JavaScript's own `<` compares UTF-16 units, which differs above U+FFFF. SQL: `COLLATE "C"`. */
function compareBytes(a: string, b: string): number {
  const left = new TextEncoder().encode(a);
  const right = new TextEncoder().encode(b);
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i += 1) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
