import type { CapacityType, Offering } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { CatalogueRegion, CatalogueRow, RegionLatency, ZoneItem } from './catalogue.port.ts';
import type { PriceRow } from './price-book.ts';

/** An offering with the price that is believed at the instant of the question; null = unpriced. */
export interface PricedOffering {
  readonly offering: Offering;
  readonly price: PriceRow | null;
}

export interface OfferingFilter {
  readonly providers?: readonly string[];
  /** `provider/region`. */
  readonly regions?: readonly string[];
  readonly capacityTypes?: readonly CapacityType[];
  readonly architectures?: readonly string[];
  readonly instanceTypes?: readonly string[];
  readonly acceleratorModels?: readonly string[];
  readonly minCpuMilli?: number;
  readonly minMemoryMib?: number;
  readonly maxPricePerHour?: PicoUsdPerHour;
}

/** By key, or by believed price with the unpriced last; ties by key. */
export type OfferingOrder = 'key' | 'price';

/** Where a page starts: behind this offering. */
export interface OfferingCursor {
  readonly key: string;
  /** Only for the order by price; null = unpriced. */
  readonly price: PicoUsdPerHour | null;
}

export interface OfferingsQuestion {
  readonly filter: OfferingFilter;
  readonly orderBy: OfferingOrder;
  readonly first: number;
  readonly after: OfferingCursor | null;
  readonly now: Instant;
}

/** Offerings and the price book. Every method is one or two statements, whatever the number of rows. */
export interface PriceStore {
  /** Waits until no other transaction loads a book; ends with the transaction. */
  lockBook(tx: Transaction): Promise<void>;
  isLoaded(tx: Transaction, digest: string): Promise<boolean>;
  markLoaded(tx: Transaction, load: { readonly digest: string; readonly rows: number; readonly at: Instant }): Promise<void>;
  /** Inserts and updates what differs, never removes. Returns rows written. Repeating writes nothing. */
  saveRegions(tx: Transaction, regions: readonly CatalogueRegion[]): Promise<number>;
  saveLatencies(tx: Transaction, latencies: readonly RegionLatency[]): Promise<number>;
  saveZoneItems(tx: Transaction, items: readonly ZoneItem[]): Promise<number>;
  saveOfferings(tx: Transaction, offerings: readonly Offering[]): Promise<number>;
  /**
   * Appends a price where the newest observed one of the offering has another amount. The first price of an offering is in force
   * from the date of its source, a later one from `now`: an update of the product never re-prices the past. Returns rows written.
   */
  appendObserved(tx: Transaction, rows: readonly (CatalogueRow & { readonly id: Id })[], now: Instant): Promise<number>;
  /** By provider and region. */
  regions(tx: Transaction): Promise<CatalogueRegion[]>;
  latencies(tx: Transaction): Promise<RegionLatency[]>;
  /** Another one whenever a price was added: rows are never taken away. */
  version(tx: Transaction): Promise<string>;
  zoneItems(tx: Transaction): Promise<ZoneItem[]>;
  append(tx: Transaction, row: PriceRow, principal: string): Promise<void>;
  /** Locks the offering until the transaction ends; null if there is none. `prices` counts its price rows. */
  lockOffering(tx: Transaction, id: Id): Promise<{ readonly offering: Offering; readonly prices: number } | null>;
  offeringsIn(tx: Transaction, regions: readonly string[], now: Instant): Promise<PricedOffering[]>;
  /** One more than `first` where there are more. */
  list(tx: Transaction, question: OfferingsQuestion): Promise<PricedOffering[]>;
  byIds(tx: Transaction, ids: readonly Id[], now: Instant): Promise<PricedOffering[]>;
  /** Every price row of these offerings that is in force before `before`. */
  rowsOf(tx: Transaction, offeringIds: readonly Id[], before: Instant): Promise<PriceRow[]>;
}
