import type { Json } from '../kernel/event.ts';
import { formatUsd, parseUsd, type PicoUsd } from '../kernel/money.ts';
import { invariant } from '../kernel/invariant.ts';
import type { AgreementSpec, Commitment, Discount, OwnHardware } from './agreements.ts';

/** A spec as it is kept: amounts are decimal strings of USD. */
export type StoredSpec = Readonly<Record<string, Json>>;

/** Amounts of each kind; everything else of a spec is JSON already. */
const AMOUNTS: Readonly<Record<AgreementSpec['kind'], readonly string[]>> = {
  discount: [],
  reservation: ['ratePerHour'],
  savings_plan: ['ratePerHour'],
  own_hardware: ['purchase', 'residual', 'perKilowattHour', 'hostingPerMonth'],
};

export const writeSpec = (spec: AgreementSpec): StoredSpec =>
  Object.fromEntries(
    Object.entries(spec).map(([name, value]) => [name, typeof value === 'bigint' ? formatUsd(value) : (value as Json)]),
  );

/** The inverse of `writeSpec`: what it wrote is read without being judged again. */
export function readSpec(kind: AgreementSpec['kind'], stored: StoredSpec): AgreementSpec {
  const amounts = AMOUNTS[kind].map((name) => [name, amountOf(stored[name])] as const);
  const spec: unknown = { ...stored, ...Object.fromEntries(amounts) };
  if (kind === 'discount') return spec as Discount;
  return kind === 'own_hardware' ? (spec as OwnHardware) : (spec as Commitment);
}

function amountOf(value: Json | undefined): PicoUsd {
  const amount = typeof value === 'string' ? parseUsd(value) : null;
  invariant(amount !== null, 'agreement: an amount that is none');
  return amount;
}
