import { PICO_PER_USD, type PicoUsd } from '../kernel/money.ts';

/** Digits before and after the point; longer is no amount but an attack or an accident. */
const DECIMAL = /^(-?)(\d{1,24})(?:\.(\d{1,40}))?$/;

/**
 * An amount as a source wrote it, in pico-USD; null if it is not a plain decimal. What is beyond 10⁻¹² USD, which only sums of floats
 * have, is rounded half up.
 */
export function readAmount(text: string): PicoUsd | null {
  const match = DECIMAL.exec(text.trim());
  if (!match) return null;
  const [, sign, whole = '0', fraction = ''] = match;
  const pico = BigInt(fraction.slice(0, 12).padEnd(12, '0')) + (fraction.charAt(12) >= '5' ? 1n : 0n);
  const magnitude = BigInt(whole) * PICO_PER_USD + pico;
  return sign === '-' ? -magnitude : magnitude;
}
