import type { Instant } from '../kernel/instant.ts';
import type { Offering } from './offering.ts';
import type { OfferingKey } from './offering-key.ts';

/** A price as a source wrote it. Nothing is believed yet: the price gate reads amount, unit and currency. */
export interface ObservedPrice {
  readonly key: OfferingKey;
  /** As written, or an exact sum of what was written: `0.0960`. Never rounded, never a float that was computed with. */
  readonly amount: string;
  /** `USD`. */
  readonly currency: string;
  /** `hour` where the source says so in its own words; else its own words. */
  readonly unit: string;
  /** In force from then on, by the source; null = it does not say. */
  readonly effectiveFrom: Instant | null;
}

/** Part of an answer that could not be read: told, and never guessed at. */
export interface UnreadableRow {
  /** What it is about, as far as one can tell: a SKU, a line. */
  readonly ref: string;
  readonly reason: string;
}

/** What can be rented. */
export interface OfferingListing {
  readonly offerings: readonly Offering[];
  readonly unreadable: readonly UnreadableRow[];
}

/** What a source says now, all of it. */
export interface PriceReading {
  readonly prices: readonly ObservedPrice[];
  readonly unreadable: readonly UnreadableRow[];
  /** When the source says that it was made; null = it does not say. A clock that stands still shows here. */
  readonly asOf: Instant | null;
  /** Which edition of a source this is that is only fetched, such as a file: read again it is one reading, not two. Absent = it was asked anew. */
  readonly edition?: string;
}

/**
 * Says what can be rented and for how much. Both verbs answer completely or throw `CloudUnknown`: a page that is missing, repeats, or
 * loses its successor is no answer. Both change nothing and can be repeated.
 */
export interface PriceFeed {
  /** Of the feed, in the source of each price: `azure-retail`. */
  readonly name: string;
  /** `regions` are `provider/region`; those of other providers are passed over. */
  listOfferings(regions: readonly string[]): Promise<OfferingListing>;
  observePrices(regions: readonly string[]): Promise<PriceReading>;
}
