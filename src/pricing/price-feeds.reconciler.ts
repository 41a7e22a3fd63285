import type { ConfiguredFeed } from '../clouds/configured-cloud.ts';
import type { Offering } from '../clouds/offering.ts';
import type { PriceReading, UnreadableRow } from '../clouds/price-feed.port.ts';
import { record } from '../events/event-log.ts';
import type { Clock } from '../kernel/clock.ts';
import { newId, type Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { Random } from '../kernel/random.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import { LeaseLost, type Lease } from '../persistence/lease.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { AgreementStore } from './agreement-store.port.ts';
import { offeringsToSave } from './offerings-to-save.ts';
import { planPriceFeeds, type FeedsPlan } from './plan-price-feeds.ts';
import { planReading, type ReadingPlan } from './plan-reading.ts';
import { priceChanged, priceFeedSilence, priceQuarantined } from './price.events.ts';
import type { FeedOutcome, FeedState, KnownRow, PriceFeedStore } from './price-feed-store.port.ts';
import type { PriceStore } from './price-store.port.ts';
import type { PricingMetrics } from './pricing.metrics.ts';
import { soundReading } from './sound-reading.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'price-feeds' };
const PRINCIPAL = 'reconciler:price-feeds';
/** A feed that has not answered by then is not waited for. Higher: it holds the others up; lower: long price lists are never read. */
const MAX_READ_MS = 5 * MINUTE_MS;
/** Events of one reading and kind: the largest moves first. Higher floods the log; the price history has all of them. */
const MAX_TOLD = 100;
/** Rows of one answer. Higher: memory, and a database that is busy for minutes; lower: all regions of a large cloud do not fit. */
const MAX_ROWS = 300_000;
/** Unreadable rows that are kept to look at. Higher bloats the row of the feed. */
const MAX_UNREADABLE = 20;
const MAX_MESSAGE = 500;

export interface PriceFeedsDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly lease: () => Lease | null;
  readonly feeds: ReadonlyMap<string, ConfiguredFeed>;
  /** Silent for longer, a feed's prices decide nothing; at least three of its intervals. */
  readonly staleAfterMs: number;
  readonly store: PriceFeedStore;
  readonly prices: PriceStore;
  readonly agreements: AgreementStore;
  readonly metrics: PricingMetrics;
}

/** What a feed answered. */
interface Heard {
  readonly offerings: readonly Offering[];
  readonly reading: PriceReading;
  readonly unreadable: readonly UnreadableRow[];
}

/** Reads each feed at its interval, believes what passes the gate, and tells which feeds are silent. */
export class PriceFeedsReconciler implements Reconciliation<readonly FeedState[] | null, FeedsPlan | null> {
  readonly #deps: PriceFeedsDeps;
  #configuredBy: number | null = null;

  constructor(deps: PriceFeedsDeps) {
    this.#deps = deps;
  }

  /** Null: another instance leads. */
  async prepare(): Promise<readonly FeedState[] | null> {
    const { database, store, lease } = this.#deps;
    const held = lease();
    if (!held) return null;
    if (this.#configuredBy !== held.epoch) await this.#configure(held);
    return database.read(SCOPE, (tx) => store.feeds(tx));
  }

  plan(feeds: readonly FeedState[] | null, now: Instant): FeedsPlan | null {
    if (!feeds) return null;
    this.#deps.metrics.saw(feeds, now);
    return planPriceFeeds(feeds, now);
  }

  async execute(plan: FeedsPlan | null, signal: AbortSignal): Promise<void> {
    if (!plan) return;
    await this.#tellSilences(plan.silences);
    await Promise.all(plan.read.map((name) => this.#readOne(name, signal)));
  }

  async #configure(lease: Lease): Promise<void> {
    const { database, store, feeds, staleAfterMs, clock, random } = this.#deps;
    const now = clock.now();
    const wishes = [...feeds].map(([name, { intervalMs, regions }]) => ({
      id: newId(now, random),
      name,
      regions,
      intervalMs,
      staleAfterMs: Math.max(staleAfterMs, 3 * intervalMs),
    }));
    await fencedWrite(database, { scope: SCOPE, lease }, async (tx) => {
      await store.configure(tx, wishes, now);
      await store.letGo(tx, now);
    });
    this.#configuredBy = lease.epoch;
  }

  async #tellSilences(silences: FeedsPlan['silences']): Promise<void> {
    if (silences.length === 0) return;
    const { clock, store } = this.#deps;
    await this.#write(async (tx) => {
      for (const { feed, since } of silences) {
        await store.saveSilence(tx, feed.name, since, clock.now());
        record(tx, priceFeedSilence(feed, since, clock.now()));
      }
      await store.letGo(tx, clock.now());
    });
  }

  async #readOne(name: string, signal: AbortSignal): Promise<void> {
    const { feeds, clock, logger, metrics, store } = this.#deps;
    const configured = feeds.get(name);
    if (!configured) return;
    const heard = await hear(configured, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      return error instanceof Error ? error : new Error(String(error));
    });
    if (heard instanceof Error) {
      logger.warn({ feed: name, err: heard }, 'a price feed could not be read');
      metrics.asked(name, 'failed');
      const error = { code: 'UNKNOWN', message: heard.message.slice(0, MAX_MESSAGE) };
      await this.#write((tx) => store.saveOutcome(tx, { name, at: clock.now(), error, read: null, unreadable: [] }));
      return;
    }
    const plan = await this.#write((tx) => this.#save(tx, name, heard)).catch((error: unknown) => this.#unsaved(name, error));
    if (!plan) return;
    metrics.asked(name, plan.answer.refusal ? 'refused' : 'read');
    metrics.moved(name, plan.change.prices.length);
    if (plan.answer.refusal) logger.warn({ feed: name, ...plan.answer.refusal }, 'a reading of prices is not believed');
  }

  /** What cannot be kept has not been read: it is told, the others go on, and the feed is asked again in its time. */
  async #unsaved(name: string, error: unknown): Promise<null> {
    if (error instanceof LeaseLost) throw error;
    const { clock, logger, metrics, store } = this.#deps;
    logger.error({ feed: name, err: error }, 'a reading of prices could not be kept');
    metrics.asked(name, 'failed');
    const failed = { code: 'NOT_KEPT', message: 'What it said could not be kept: the log says why.' };
    await this.#write((tx) => store.saveOutcome(tx, { name, at: clock.now(), error: failed, read: null, unreadable: [] }));
    return null;
  }

  /** One reading in one transaction; readings of two feeds that speak of the same offering come one after the other. */
  async #save(tx: Transaction, name: string, { offerings, reading, unreadable }: Heard): Promise<ReadingPlan | null> {
    const { store, prices, agreements, clock, random, feeds } = this.#deps;
    await prices.lockBook(tx);
    const feed = (await store.feeds(tx)).find((one) => one.name === name);
    if (!feed) return null;
    const now = clock.now();
    const regions = feeds.get(name)?.regions ?? [];
    let known = await store.known(tx, name, regions, now);
    const fresh = offeringsToSave(offerings, known, regions);
    if (fresh.length > 0) {
      await prices.saveOfferings(tx, fresh);
      known = await store.known(tx, name, regions, now);
    }
    const [open, agreed] = [await store.open(tx, name), await agreements.inForce(tx, now)];
    const input = { feed, regions, reading, known, open, agreements: agreed, newId: () => newId(now, random) };
    const plan = planReading(input, now);
    await store.saveReading(tx, plan.change);
    await store.saveOutcome(tx, outcomeOf(plan, { name, now, reading, unreadable }));
    await this.#tell(tx, plan, known);
    return plan;
  }

  async #tell(tx: Transaction, { change }: ReadingPlan, known: readonly KnownRow[]): Promise<void> {
    const byId = new Map(known.map((row) => [row.offering.id, row]));
    const moved = change.prices
      .flatMap((price) => {
        const row = byId.get(price.offeringId);
        return row ? [{ price, row }] : [];
      })
      .sort((a, b) => moveOf(b) - moveOf(a) || (a.price.offeringId < b.price.offeringId ? -1 : 1))
      .slice(0, MAX_TOLD);
    const doubted = change.quarantined.flatMap((one) =>
      one.offeringId === null ? [] : [{ ...one, offeringId: one.offeringId }],
    );
    const told = doubted.slice(0, MAX_TOLD);
    const ids = [...moved.map(({ row }) => row.offering.id), ...told.map(({ offeringId }) => offeringId)];
    const versions = await this.#deps.store.versions(tx, [...new Set(ids)]);
    const causeOf = (id: Id) => ({ version: versions.get(id) ?? 1, at: change.at, principal: PRINCIPAL });
    record(
      tx,
      ...moved.map(({ price, row }) => {
        const after = { ...price, observedAt: change.at, state: 'believed' } as const;
        return priceChanged({ ...causeOf(price.offeringId), offering: row.offering, before: row.lastGood, after });
      }),
      ...told.map((one) => priceQuarantined({ ...one, feed: change.feed }, causeOf(one.offeringId))),
    );
  }

  async #write<T>(body: (tx: Transaction) => Promise<T>): Promise<T | null> {
    const { database, lease } = this.#deps;
    const held = lease();
    return held ? fencedWrite(database, { scope: SCOPE, lease: held }, body) : null;
  }
}

/** Both answers of a feed, or why there is none; who does not answer in time is not waited for. */
async function hear({ feed, regions }: ConfiguredFeed, signal: AbortSignal): Promise<Heard> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const give = () => reject(new Error(signal.aborted ? 'The loop is stopping.' : `No answer within ${MAX_READ_MS / 1000} s.`));
  const timer = setTimeout(give, MAX_READ_MS);
  signal.addEventListener('abort', give, { once: true });
  try {
    const listing = await Promise.race([feed.listOfferings(regions), tooLate]);
    const answer = await Promise.race([feed.observePrices(regions), tooLate]);
    const rows = Math.max(listing.offerings.length, answer.prices.length);
    if (rows > MAX_ROWS) throw new Error(`It names ${rows} offerings; at most ${MAX_ROWS} are looked at.`);
    const reading = soundReading(answer);
    return { offerings: listing.offerings, reading, unreadable: [...listing.unreadable, ...reading.unreadable] };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', give);
  }
}

const outcomeOf = (
  { answer }: ReadingPlan,
  {
    name,
    now,
    reading,
    unreadable,
  }: {
    readonly name: string;
    readonly now: Instant;
    readonly reading: PriceReading;
    readonly unreadable: readonly UnreadableRow[];
  },
): FeedOutcome => ({
  name,
  at: now,
  error: answer.refusal,
  read: answer.refusal
    ? null
    : {
        asOf: reading.asOf,
        edition: reading.edition ?? null,
        rowsByRegion: Object.fromEntries(answer.rowsByRegion),
        rows: reading.prices.length,
      },
  unreadable: unreadable
    .slice(0, MAX_UNREADABLE)
    .map(({ ref, reason }) => ({ ref: ref.slice(0, 200), reason: reason.slice(0, 200) })),
});

/** How far it moved: only for choosing whom to tell of. */
const moveOf = ({ price, row }: { readonly price: { readonly list: bigint }; readonly row: KnownRow }): number =>
  row.lastGood === null ? 0 : Math.abs(Math.log(Number(price.list) / Number(row.lastGood.list)));
