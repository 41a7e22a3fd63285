import type { CapacityType, Offering } from '../clouds/offering.ts';
import type { OfferingKey } from '../clouds/offering-key.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { PicoUsd, PicoUsdPerHour } from '../kernel/money.ts';
import { matchesStars } from '../kernel/star-pattern.ts';

/** Thousandths of a percent in a whole. */
const WHOLE = 100_000n;
/** Hours of an average month of the Gregorian calendar, in thousandths: 30.436875 days. */
const MONTH_MILLI_HOURS = 730_485n;
const WATTS_PER_KW = 1_000n;

/** So many per cent off the list price of whatever fits. */
export interface Discount {
  readonly kind: 'discount';
  /** Thousandths of a percent, 0 to 100,000. */
  readonly percentMilli: number;
  /** Null = any. */
  readonly provider: string | null;
  readonly region: string | null;
  /** `*` stands for anything: `m5.*`. Null = any. */
  readonly instanceTypes: string | null;
  readonly capacityTypes: readonly CapacityType[] | null;
}

/** Machines that are paid for whether they run or not, at a price per hour of each. */
export interface Commitment {
  readonly kind: 'reservation' | 'savings_plan';
  /** What it covers, as it is rented without commitment. */
  readonly covers: OfferingKey;
  readonly count: number;
  readonly ratePerHour: PicoUsdPerHour;
}

/** Capacity that is paid for whether it is used or not. */
export interface PaidCapacity {
  /** As what it is rented: on demand. */
  readonly offeringId: Id;
  readonly count: number;
}

/** A machine that was bought. */
export interface OwnHardware {
  readonly kind: 'own_hardware';
  readonly shape: Omit<Offering, 'id' | 'capacityType' | 'interruptionBand'>;
  readonly count: number;
  readonly purchase: PicoUsd;
  readonly residual: PicoUsd;
  readonly months: number;
  readonly watts: number;
  readonly perKilowattHour: PicoUsd;
  readonly hostingPerMonth: PicoUsd;
}

export type AgreementSpec = Discount | Commitment | OwnHardware;

/** What was agreed with a provider, or reckoned for a machine of one's own. */
export interface Agreement {
  readonly id: Id;
  readonly name: string;
  readonly spec: AgreementSpec;
  /** In force over `[validFrom, validUntil)`. */
  readonly validFrom: Instant;
  readonly validUntil: Instant | null;
  readonly version: number;
}

export interface AgreedPrice {
  readonly effectiveFrom: Instant;
  readonly list: PicoUsdPerHour;
  readonly contracted: PicoUsdPerHour;
  readonly effective: PicoUsdPerHour;
}

/**
 * What an offering costs from `from` on: one price, and one more for each later instant at which a discount begins or ends, and for each of
 * `alsoAt`. Of several discounts the largest counts; they are not added up. `listAt` is the list price at an instant.
 */
export function agreedPrices(
  offering: Offering,
  listAt: (at: Instant) => PicoUsdPerHour,
  agreements: readonly Agreement[],
  { from, alsoAt = [] }: { readonly from: Instant; readonly alsoAt?: readonly Instant[] },
): AgreedPrice[] {
  const discounts = agreements.flatMap(({ spec, ...terms }) =>
    spec.kind === 'discount' && fits(spec, offering) ? [{ ...terms, percentMilli: spec.percentMilli }] : [],
  );
  const bounds = discounts.flatMap(({ validFrom, validUntil }) => (validUntil === null ? [validFrom] : [validFrom, validUntil]));
  const instants = [...new Set([from, ...[...bounds, ...alsoAt].filter((at) => at > from)])].sort((a, b) => a - b);
  return instants.map((at) => {
    const percents = discounts.filter((one) => isInForce(one, at)).map(({ percentMilli }) => percentMilli);
    const list = listAt(at);
    const contracted = discounted(list, Math.max(0, ...percents));
    return { effectiveFrom: at, list, contracted, effective: contracted };
  });
}

/**
 * What paid capacity costs from `at` on, at that instant and at each later one at which something changes: the rate that is in force, of several
 * the dearest, else `otherwise`; nothing where that is null.
 */
export function paidPrices(agreements: readonly Agreement[], at: Instant, { alsoAt, list, otherwise }: PaidTerms): AgreedPrice[] {
  const bounds = agreements.flatMap(({ validFrom, validUntil }) => [validFrom, ...(validUntil === null ? [] : [validUntil])]);
  const instants = [...new Set([at, ...[...bounds, ...alsoAt].filter((one) => one > at)])].sort((a, b) => a - b);
  return instants.flatMap((effectiveFrom) => {
    const rates = agreements.flatMap((one) => (isInForce(one, effectiveFrom) ? rateOf(one.spec) : []));
    const begun = agreements.some(({ validFrom }) => validFrom <= effectiveFrom);
    const rate = rates.length > 0 ? rates.reduce((a, b) => (a > b ? a : b)) : otherwise(begun);
    return rate === null ? [] : [{ effectiveFrom, list: list ?? rate, contracted: rate, effective: rate }];
  });
}

export interface PaidTerms {
  /** Of prices that were written for later. */
  readonly alsoAt: readonly Instant[];
  /** Null = the rate itself. */
  readonly list: PicoUsdPerHour | null;
  /** Where nothing is in force: after something was, or before. */
  readonly otherwise: (begun: boolean) => PicoUsdPerHour | null;
}

const rateOf = (spec: AgreementSpec): PicoUsdPerHour[] => {
  if (spec.kind === 'discount') return [];
  return [spec.kind === 'own_hardware' ? hourlyCostOf(spec) : spec.ratePerHour];
};

/** Less so many thousandths of a percent; a fraction of a pico-dollar is rounded up. */
const discounted = (list: PicoUsdPerHour, percentMilli: number): PicoUsdPerHour =>
  ceilDiv(list * (WHOLE - BigInt(percentMilli)), WHOLE);

export const isInForce = ({ validFrom, validUntil }: Pick<Agreement, 'validFrom' | 'validUntil'>, at: Instant): boolean =>
  validFrom <= at && (validUntil === null || at < validUntil);

function fits({ provider, region, instanceTypes, capacityTypes }: Discount, offering: Offering): boolean {
  return (
    (provider === null || provider === offering.provider) &&
    (region === null || region === offering.region) &&
    (instanceTypes === null || matchesStars(instanceTypes, offering.instanceType)) &&
    (capacityTypes?.includes(offering.capacityType) ?? true)
  );
}

/** How many machines a committed amount per hour pays for; what is left over pays for none. */
export const coveredBy = (committedPerHour: PicoUsdPerHour, ratePerHour: PicoUsdPerHour): number =>
  Number(committedPerHour / ratePerHour);

/**
 * What an hour of a machine of one's own costs: what it loses in value, its power, its place. Each part is rounded up to a whole
 * pico-dollar, so that the hours of its life never sum to less than was paid.
 */
export function hourlyCostOf({
  purchase,
  residual,
  months,
  watts,
  perKilowattHour,
  hostingPerMonth,
}: OwnHardware): PicoUsdPerHour {
  invariant(months > 0 && residual <= purchase, `own hardware: ${months} months, residual ${residual}`);
  const loss = ceilDiv((purchase - residual) * 1_000n, BigInt(months) * MONTH_MILLI_HOURS);
  const power = ceilDiv(BigInt(watts) * perKilowattHour, WATTS_PER_KW);
  return loss + power + ceilDiv(hostingPerMonth * 1_000n, MONTH_MILLI_HOURS);
}

const ceilDiv = (a: bigint, b: bigint): bigint => (a + b - 1n) / b;

/** What the capacity of a commitment, or a machine of one's own, is offered as. */
export const paidKeyOf = (spec: Commitment | OwnHardware): OfferingKey =>
  spec.kind === 'own_hardware' ? { ...spec.shape, capacityType: 'on_demand' } : { ...spec.covers, capacityType: 'reserved' };
