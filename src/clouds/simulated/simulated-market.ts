import type { Instant } from '../../kernel/instant.ts';
import type { PicoUsdPerHour } from '../../kernel/money.ts';
import type { Accelerator } from '../../kernel/resources.ts';
import type { RateStep } from '../rental-bill.ts';
import type { RentedKind } from '../rentals.ts';

/** Something that the market rents. */
export interface MarketOffering {
  readonly region: string;
  readonly zones: readonly string[];
  readonly instanceType: string;
  readonly architecture: string;
  readonly cpuMilli: number;
  readonly memoryMib: number;
  readonly accelerator: Accelerator | null;
  readonly onDemand: PicoUsdPerHour;
  /** The mean over time; null = not to be had as spot. */
  readonly spot: PicoUsdPerHour | null;
}

/** A pool of capacity is short now and then: nothing more is to be had of it, and spot machines are taken back. */
export interface Shortages {
  /** From the end of one to the beginning of the next, in ms, on average. */
  readonly everyMs: number;
  /** How long one lasts on average; 0 = there is none. */
  readonly lastMs: number;
}

/**
 * A market in which everything follows from the seed and the time: prices of spot, and when which zone is short of what. Whoever asks of a
 * moment gets the same answer, in whatever order they ask.
 */
export interface PricedMarket {
  readonly seed: number;
  readonly offerings: readonly MarketOffering[];
  /** Prices of spot move between `1 - swing` and `1 + swing` times their mean, and back to it; 0 to 0.8. */
  readonly swing: number;
  /** Prices of spot change this often, in ms. */
  readonly priceStepMs: number;
  readonly spotShortages: Shortages;
  readonly onDemandShortages: Shortages;
  /** From a notice until the machine is taken, in ms. */
  readonly noticeMs: number;
}

export interface Shortage {
  readonly from: Instant;
  readonly to: Instant;
}

/** What the market has of this kind; undefined = it has no such thing. */
export const offeringOf = (market: PricedMarket, kind: RentedKind): MarketOffering | undefined =>
  market.offerings.find(
    (one) =>
      one.region === kind.region &&
      one.instanceType === kind.instanceType &&
      (kind.zone === '' || one.zones.includes(kind.zone)) &&
      (kind.capacityType === 'on_demand' || (kind.capacityType === 'spot' && one.spot !== null)),
  );

/** On-demand prices stand still. Null = it is not to be had. */
export function rateAt(market: PricedMarket, kind: RentedKind, at: Instant): PicoUsdPerHour | null {
  const offering = offeringOf(market, kind);
  if (!offering) return null;
  if (kind.capacityType !== 'spot' || offering.spot === null) return offering.onDemand;
  const millionths = BigInt(Math.round(1_000_000 * (1 + market.swing * driftAt(market, kind, at))));
  return (offering.spot * millionths) / 1_000_000n;
}

/** The price over `[from, to)`, without gaps; empty where it is not to be had. */
export function rateSteps(market: PricedMarket, kind: RentedKind, from: Instant, to: Instant): RateStep[] {
  const { priceStepMs } = market;
  const steps: RateStep[] = [];
  for (let at = from; at < to;) {
    const rate = rateAt(market, kind, at);
    if (rate === null) return [];
    const next = Math.min(to, kind.capacityType === 'spot' ? (Math.floor(at / priceStepMs) + 1) * priceStepMs : to);
    steps.push({ from: at, to: next, rate });
    at = next;
  }
  return steps;
}

/** The shortage of a kind at an instant; null = it is to be had. */
export const shortageAt = (market: PricedMarket, kind: RentedKind, at: Instant): Shortage | null =>
  shortages(market, kind, at, at + 1).find(({ from, to }) => from <= at && at < to) ?? null;

/** The first shortage of a kind that begins in `(after, until]`. */
export const firstShortage = (market: PricedMarket, kind: RentedKind, after: Instant, until: Instant): Shortage | null =>
  shortages(market, kind, after, until + 1).find(({ from }) => from > after && from <= until) ?? null;

/** Every shortage that touches `[from, to)`, in order: one in each window of its own, that begins anywhere in it. */
function shortages(market: PricedMarket, kind: RentedKind, from: Instant, to: Instant): Shortage[] {
  const { everyMs, lastMs } = kind.capacityType === 'spot' ? market.spotShortages : market.onDemandShortages;
  if (lastMs === 0) return [];
  const windowMs = everyMs + lastMs;
  const found: Shortage[] = [];
  // It may reach into the next window, by half its mean length at most.
  for (let n = Math.floor(from / windowMs) - 1; n * windowMs < to; n += 1) {
    const begin = n * windowMs + Math.floor(everyMs * share(market, `${kindText(kind)} begins`, n));
    const end = begin + Math.ceil(lastMs * (0.5 + share(market, `${kindText(kind)} lasts`, n)));
    if (end > from && begin < to) found.push({ from: begin, to: end });
  }
  return found;
}

/** Slow, middling and quick movements around the mean, between -1 and 1: a price that went far comes back. */
function driftAt(market: PricedMarket, kind: RentedKind, at: Instant): number {
  const step = Math.floor(at / market.priceStepMs);
  const text = `${kindText(kind)} price`;
  const movements = MOVEMENTS.map(([weight, steps]) => weight * (2 * share(market, text, Math.floor(step / steps)) - 1));
  return movements.reduce((sum, one) => sum + one, 0);
}

/** Weight of a movement, and how many steps of the price it stays. */
const MOVEMENTS = [
  [0.6, 8],
  [0.25, 3],
  [0.15, 1],
] as const;

const kindText = ({ region, zone, instanceType, capacityType }: RentedKind): string =>
  `${region}/${zone}/${instanceType}/${capacityType}`;

/** A number in `[0, 1)` that depends on nothing else: FNV-1a over the text, then the finalizer of MurmurHash3. */
function share({ seed }: PricedMarket, text: string, n: number): number {
  let hash = (0x811c9dc5 ^ seed ^ Math.imul(n, 0x9e3779b1)) >>> 0;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 4_294_967_296;
}
