import type { PicoUsd } from '../kernel/money.ts';

/** A decimal number, exactly: `digits` × 10^−`scale`. */
export interface Decimal {
  readonly digits: bigint;
  readonly scale: number;
}

/** Digits before the point and behind it. Higher: a text without an end is reckoned with for minutes; lower: exact sums are refused. */
const MAX_DIGITS = 100;
const NUMBER = new RegExp(`^(-?)(\\d{1,${MAX_DIGITS}})(?:\\.(\\d{1,${MAX_DIGITS}}))?(?:[eE]([+-]?\\d{1,3}))?$`);

/** Reads a number as JSON writes it (`0.096`, `4.5E-05`); null if it is not one, or has more digits than any price. */
export function parseDecimal(text: string): Decimal | null {
  const match = NUMBER.exec(text);
  if (!match) return null;
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const digits = BigInt(`${sign}${whole}${fraction}`);
  const scale = fraction.length - Number(exponent);
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
}

export function plus(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  return { digits: at(a, scale) + at(b, scale), scale };
}

export const times = (a: Decimal, b: Decimal): Decimal => ({ digits: a.digits * b.digits, scale: a.scale + b.scale });

/** `a / 2^power`, exactly: a half has one decimal more. */
export const halved = (a: Decimal, power: number): Decimal => ({
  digits: a.digits * 5n ** BigInt(power),
  scale: a.scale + power,
});

/** To so many decimals, rounded half away from zero. */
export function divided(a: Decimal, by: bigint, scale: number): Decimal {
  const [digits, divisor] = a.scale <= scale ? [at(a, scale), by] : [a.digits, by * 10n ** BigInt(a.scale - scale)];
  const half = digits < 0n === divisor < 0n ? divisor / 2n : -(divisor / 2n);
  return { digits: (digits + half) / divisor, scale };
}

/** The shortest exact text: `0.096`, without an exponent. */
export function decimalText({ digits, scale }: Decimal): string {
  const sign = digits < 0n ? '-' : '';
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0');
  const fraction = text.slice(text.length - scale).replace(/0+$/, '');
  return `${sign}${text.slice(0, text.length - scale)}${scale > 0 && fraction ? `.${fraction}` : ''}`;
}

/** In units of 10^−`scale`; what is finer is rounded half away from zero. */
export function roundedTo(value: Decimal, scale: number): bigint {
  if (value.scale <= scale) return at(value, scale);
  const unit = 10n ** BigInt(value.scale - scale);
  const half = value.digits < 0n ? -(unit / 2n) : unit / 2n;
  return (value.digits + half) / unit;
}

/** Of a pico-dollar: finer decimals are rounded half away from zero. */
const PICO_DECIMALS = 12;
/** No charge is larger, in either direction: a million million dollars. Higher: a line of a broken bill drowns all others; lower: none. */
const MAX_CHARGE = 10n ** 24n;

/** What a bill charges, in pico-dollars; null if that is no amount, or none that anybody was ever charged. */
export function chargeOf(text: string): PicoUsd | null {
  const value = parseDecimal(text);
  if (!value) return null;
  const charge = roundedTo(value, PICO_DECIMALS);
  return charge > MAX_CHARGE || charge < -MAX_CHARGE ? null : charge;
}

const at = ({ digits, scale: from }: Decimal, scale: number): bigint => digits * 10n ** BigInt(scale - from);
