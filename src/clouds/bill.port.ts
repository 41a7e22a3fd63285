import type { Instant } from '../kernel/instant.ts';
import type { PicoUsd } from '../kernel/money.ts';
import type { UnreadableRow } from './price-feed.port.ts';

/** A line of a provider's bill, by the words of FOCUS. */
export interface BillLine {
  readonly chargePeriodStart: Instant;
  readonly chargePeriodEnd: Instant;
  /** `Usage`, `Purchase`, `Tax`, `Credit`, `Adjustment`. */
  readonly chargeCategory: string;
  readonly serviceName: string;
  /** The provider's name; null where the charge has none. */
  readonly regionId: string | null;
  readonly resourceId: string | null;
  readonly billedCost: PicoUsd;
  readonly effectiveCost: PicoUsd;
  /** Null where the provider does not say. */
  readonly listCost: PicoUsd | null;
  readonly tags: Readonly<Record<string, string>>;
}

export interface Bill {
  readonly lines: readonly BillLine[];
  /** Lines in another currency, without an amount, or damaged: told, never counted. */
  readonly unreadable: readonly UnreadableRow[];
  /** False while the provider may still change it. */
  readonly isFinal: boolean;
}

/** Says what a provider charged. */
export interface BillSource {
  /** Charges whose period begins in `[from, to)`: completely, or it throws `CloudUnknown`. Changes nothing and can be repeated. */
  fetchBill(from: Instant, to: Instant): Promise<Bill>;
}
