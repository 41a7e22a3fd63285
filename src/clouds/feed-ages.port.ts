import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** How long ago a feed was heard. */
export interface FeedAge {
  readonly name: string;
  /** When it was last read and believed as a whole; null = never. */
  readonly readAt: Instant | null;
  /** Since when it is silent: its prices decide nothing; null = it is heard. */
  readonly staleSince: Instant | null;
  /** Why the last attempt failed; null = it did not. */
  readonly errorMessage: string | null;
}

/** Whoever reads the feeds knows. */
export interface FeedAges {
  /** Of every feed that is or was configured. Changes nothing. */
  feeds(tx: Transaction): Promise<readonly FeedAge[]>;
}
