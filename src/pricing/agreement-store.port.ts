import type { OfferingKey } from '../clouds/offering-key.ts';
import type { Offering } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Agreement } from './agreements.ts';
import type { PriceRow } from './price-book.ts';
import type { PriceDraft } from './price-feed-store.port.ts';

/** An offering with its observed prices that are in force now or later, oldest first. */
export interface ObservedOffering {
  readonly offering: Offering;
  readonly prices: readonly PriceRow[];
}

/** What was agreed. Every method is one or two statements. */
export interface AgreementStore {
  /** Not removed, and not over at `now`; those that begin later are among them. By name. */
  inForce(tx: Transaction, now: Instant): Promise<Agreement[]>;
  /** Locked until the transaction ends; removed ones are not found. */
  lockByName(tx: Transaction, name: string): Promise<Agreement | null>;
  /** The one of that name that was ended last, if it stands for nothing any more. */
  ended(tx: Transaction, name: string): Promise<Pick<Agreement, 'id' | 'version'> | null>;
  byIds(tx: Transaction, ids: readonly Id[]): Promise<Agreement[]>;
  /** Inserts it or, with a higher version, changes it; its history says who did. */
  save(tx: Transaction, agreement: Agreement, by: { readonly principal: string; readonly at: Instant }): Promise<void>;
  remove(tx: Transaction, agreement: Agreement, by: { readonly principal: string; readonly at: Instant }): Promise<void>;
  /** Machines that are paid for at `now` whether they run or not, by every agreement that says so, as what they are rented; whoever asks. */
  paid(tx: Transaction, now: Instant): Promise<{ readonly standsFor: OfferingKey; readonly machines: number }[]>;
  /** Every offering that anybody has observed a price of. */
  observed(tx: Transaction, now: Instant): Promise<ObservedOffering[]>;
  /** Prices that follow from an agreement. Returns rows written. */
  appendPrices(tx: Transaction, prices: readonly PriceDraft[], at: Instant): Promise<number>;
}
