import type { Offering } from '../clouds/offering.ts';
import type { ObservedPrice, UnreadableRow } from '../clouds/price-feed.port.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { DoubtCode, FeedClaim, ForetoldPrice } from './judge-price.ts';
import type { PriceRow } from './price-book.ts';

/** How a feed is read. */
export interface FeedPace {
  readonly name: string;
  readonly intervalMs: number;
  /** Silent for longer than this, its prices decide nothing. */
  readonly staleAfterMs: number;
}

/** A feed as it is configured. */
export interface FeedWish extends FeedPace {
  readonly id: Id;
  /** `provider/region` that it is asked about; absent = whatever it speaks of. */
  readonly regions?: readonly string[];
}

/** A feed as it stands. */
export interface FeedState extends FeedPace {
  readonly id: Id;
  readonly isConfigured: boolean;
  readonly createdAt: Instant;
  readonly attemptedAt: Instant | null;
  /** When it was last read and believed as a whole. */
  readonly readAt: Instant | null;
  /** When the source says that it was made. */
  readonly asOf: Instant | null;
  /** Which edition of the source that was; null = it has none. */
  readonly edition: string | null;
  readonly rowsByRegion: Readonly<Record<string, number>>;
  readonly rows: number;
  /** Rows that wait for a person or a second read. */
  readonly quarantined: number;
  /** The last reading said something that only a second one can confirm. */
  readonly awaitsSecondRead: boolean;
  /** The first of those that could not be read. */
  readonly unreadable: readonly UnreadableRow[];
  /** Why the last attempt failed; null = it did not. */
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  readonly failures: number;
  readonly staleSince: Instant | null;
  readonly version: number;
}

/** An offering of a feed's regions with what is known of its price. */
export interface KnownRow {
  readonly offering: Offering;
  /** The believed one among the observed prices. */
  readonly lastGood: PriceRow | null;
  /** What observed prices will be, the earliest first. */
  readonly announced: readonly ForetoldPrice[];
  /** What the bundled book, or a person, said of it last. */
  readonly list: PicoUsdPerHour | null;
  /** The first observed price of all; null = there is none. */
  readonly first: PicoUsdPerHour | null;
  readonly claim: (FeedClaim & { readonly unconfirmedSince: Instant | null }) | null;
  readonly others: readonly PicoUsdPerHour[];
}

/** What a feed says now of an offering. */
export interface ClaimDraft extends FeedClaim {
  readonly offeringId: Id;
}

export interface PriceDraft {
  readonly id: Id;
  readonly offeringId: Id;
  readonly list: PicoUsdPerHour;
  readonly contracted: PicoUsdPerHour;
  readonly effective: PicoUsdPerHour;
  readonly effectiveFrom: Instant;
  readonly source: string;
}

export type QuarantineState = 'open' | 'accepted' | 'dismissed' | 'withdrawn';

/** A row that is not believed. */
export interface QuarantinedPrice {
  readonly id: Id;
  readonly feed: string;
  /** Null = nobody knows what it is. */
  readonly offeringId: Id | null;
  readonly offeringKey: string;
  readonly row: Pick<ObservedPrice, 'amount' | 'unit' | 'currency' | 'effectiveFrom'>;
  /** Null where it could not be read. */
  readonly amount: PicoUsdPerHour | null;
  readonly code: DoubtCode;
  readonly message: string;
  readonly observedAt: Instant;
  readonly state: QuarantineState;
  readonly decidedAt: Instant | null;
  readonly decidedBy: string | null;
}

export type QuarantineDraft = Omit<QuarantinedPrice, 'feed' | 'state' | 'decidedAt' | 'decidedBy' | 'observedAt'>;

/** What a reading changed; everything that is the same is left out. */
export interface ReadingChange {
  readonly feed: string;
  readonly at: Instant;
  readonly claims: readonly ClaimDraft[];
  /** Offerings that the feed does not confirm any more, and those that it confirms again as they were. */
  readonly unconfirmed: readonly Id[];
  readonly confirmed: readonly Id[];
  readonly prices: readonly PriceDraft[];
  readonly quarantined: readonly QuarantineDraft[];
  /** Keys of open rows that the feed does not say any more. */
  readonly withdrawn: readonly string[];
}

/** How an attempt ended. */
export interface FeedOutcome {
  readonly name: string;
  readonly at: Instant;
  readonly error: { readonly code: string; readonly message: string } | null;
  /** Null = nothing was believed, and what stood stands. */
  readonly read: {
    readonly asOf: Instant | null;
    readonly edition: string | null;
    readonly rowsByRegion: Readonly<Record<string, number>>;
    readonly rows: number;
  } | null;
  readonly unreadable: readonly UnreadableRow[];
}

export interface QuarantineQuestion {
  readonly feed?: string;
  readonly states: readonly QuarantineState[];
  readonly first: number;
  /** Id of the row behind which the page starts; newest first. */
  readonly after: Id | null;
}

/** Feeds, what they say, and what of it waits. Every method is a few statements, whatever the number of rows. */
export interface PriceFeedStore {
  /** Makes these the configured feeds; of regions that they are not asked about any more they confirm nothing. Writes only what differs. */
  configure(tx: Transaction, feeds: readonly FeedWish[], now: Instant): Promise<void>;
  /** Feeds that are not configured any more, and silent, speak no longer of what costs what somebody else said. Returns rows written. */
  letGo(tx: Transaction, now: Instant): Promise<number>;
  /** By name. */
  feeds(tx: Transaction): Promise<FeedState[]>;
  known(tx: Transaction, feed: string, regions: readonly string[], now: Instant): Promise<KnownRow[]>;
  /** The offering keys under which this feed has open rows, with the reason and what was said. */
  open(tx: Transaction, feed: string): Promise<ReadonlyMap<string, { readonly code: DoubtCode; readonly said: string }>>;
  /** Appends and changes what is named, and nothing else. Returns rows written. */
  saveReading(tx: Transaction, change: ReadingChange): Promise<number>;
  saveOutcome(tx: Transaction, outcome: FeedOutcome): Promise<void>;
  /** Since when it is silent; null = it is heard. */
  saveSilence(tx: Transaction, name: string, since: Instant | null, at: Instant): Promise<void>;
  /** How many events were told of each: facts of it in the price book and beside it. */
  versions(tx: Transaction, offeringIds: readonly Id[]): Promise<ReadonlyMap<Id, number>>;
  /** One more than `first` where there are more. */
  quarantined(tx: Transaction, question: QuarantineQuestion): Promise<QuarantinedPrice[]>;
  quarantinedById(tx: Transaction, id: Id): Promise<QuarantinedPrice | null>;
  /** Locked until the transaction ends. */
  lockQuarantined(tx: Transaction, id: Id): Promise<QuarantinedPrice | null>;
  /** A person's word: the row is closed, and the feed is not heard on it before it says something else. */
  decide(
    tx: Transaction,
    row: QuarantinedPrice,
    decision: { readonly state: 'accepted' | 'dismissed'; readonly at: Instant; readonly by: string },
  ): Promise<void>;
}
