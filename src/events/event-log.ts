import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../kernel/clock.ts';
import type { EventDraft } from '../kernel/event.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { openTransactionOf } from '../persistence/open-transaction.ts';
import { sqlStateOf } from '../persistence/sql-failure.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Cursor, GapReason } from './cursor.ts';
import { ensureEpoch } from './epoch.ts';
import { isVisible, matches, type EventFilter, type LogEvent } from './event.ts';
import { LiveTail } from './live-tail.ts';
import { pruneEvents } from './prune-events.ts';
import { latestEvents, logState, readEvents, type EventPage, type ReadRequest } from './read-events.ts';
import { Sequencer } from './sequencer.ts';
import { Subscription } from './subscription.ts';

/** Events per query of a replay. Higher holds more in memory per reader, lower takes more queries for a long history. */
const REPLAY_PAGE = 500;
/** A quiet subscription says this often how far it has looked. Higher makes a dead connection go unnoticed, lower is chatter. */
const HEARTBEAT_MS = 5_000;
/** How long a replay waits for a database that cannot be reached. Higher: events come late after an outage; lower: many readers hammer it. */
const RETRY_MS = 1_000;
const SYSTEM: Scope = { kind: 'reconciler', loop: 'events' };

/**
 * Appends events to the log, with the transaction or not at all. They are held back and inserted as its last statement,
 * so that their order is drawn under the row locks of the change itself.
 */
export function record(tx: Transaction, ...drafts: readonly EventDraft[]): void {
  const open = openTransactionOf(tx);
  invariant(open.writable, 'events are recorded in a transaction that writes');
  open.recorded = [...open.recorded, ...drafts];
}

/** What a subscription delivers; resuming after any of these cursors misses nothing and repeats nothing. */
export type Delivery =
  | { readonly kind: 'event'; readonly cursor: Cursor; readonly event: LogEvent }
  /** Events before `cursor` are missing: pruned away, or of a history that was undone by a restore. */
  | { readonly kind: 'gap'; readonly cursor: Cursor; readonly reason: GapReason }
  | { readonly kind: 'heartbeat'; readonly cursor: Cursor };

export interface FollowRequest {
  /** Null = from now. */
  readonly after: Cursor | null;
  readonly filter: EventFilter;
  /** Ends the subscription at once. */
  readonly signal: AbortSignal;
  /** A finer wall than the scope, such as grants on single projects. */
  readonly may?: (event: LogEvent) => boolean;
  readonly heartbeatMs?: number;
}

/** The event log: numbers what was recorded, reads from a cursor, follows. */
export class EventLog {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #sequencer: Sequencer;
  readonly #tail: LiveTail;

  constructor(deps: { readonly database: Database; readonly clock: Clock; readonly logger: Logger }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
    this.#sequencer = new Sequencer(deps);
    this.#tail = new LiveTail(deps);
  }

  /** Finds out which history this is, then numbers events from now on. */
  async start(): Promise<void> {
    await this.#database.write(SYSTEM, (tx) => ensureEpoch(tx, this.#clock.now()));
    this.#sequencer.start();
  }

  async stop(): Promise<void> {
    await this.#sequencer.stop();
    await this.#tail.stop();
  }

  /** Resolves when everything committed before the call has a position. */
  sequence(): Promise<void> {
    return this.#sequencer.sequence();
  }

  /** Calls it soon after events of any instance were numbered, now and then for nothing. Returns how to end it. */
  onNumbered(listener: () => void): () => void {
    return this.#tail.onNumbered(listener);
  }

  /** A page of what `scope` may see. */
  read(scope: Scope, request: ReadRequest): Promise<EventPage> {
    return this.#database.read(scope, (tx) => readEvents(tx, request));
  }

  /** The newest events that `scope` may see; reading on from the page's cursor misses nothing. */
  latest(scope: Scope, request: { readonly filter: EventFilter; readonly limit: number }): Promise<EventPage> {
    return this.#database.read(scope, (tx) => latestEvents(tx, request));
  }

  /** The newest position. */
  async head(): Promise<Cursor> {
    const { epoch, position } = await this.#database.read(SYSTEM, logState);
    return { epoch, position };
  }

  /** Removes events older than `keepMs`, oldest first; cursors before them get `Gap(PRUNED)`. Returns how many. */
  prune(keepMs: number): Promise<number> {
    return pruneEvents(this.#database, this.#clock.now() - keepMs);
  }

  /** A heartbeat, then everything after the cursor, then what happens, until the signal: nothing lost, nothing twice, in order. */
  async *follow(scope: Scope, request: FollowRequest): AsyncGenerator<Delivery, void, undefined> {
    let cursor = request.after ?? (await this.head());
    yield { kind: 'heartbeat', cursor };
    while (!request.signal.aborted) {
      const subscription = new Subscription((event) => isWanted(event, scope, request));
      try {
        const start = await this.#patiently(request.signal, () => this.#tail.subscribe(subscription.hear));
        if (start === null) return;
        cursor = yield* this.#replay(scope, { ...request, after: cursor }, start);
        cursor = yield* live(subscription, cursor, request);
      } finally {
        this.#tail.unsubscribe(subscription.hear);
      }
    }
  }

  /** Everything from the table until the place where the live tail took over. */
  async *#replay(
    scope: Scope,
    request: FollowRequest & { after: Cursor },
    until: number,
  ): AsyncGenerator<Delivery, Cursor, undefined> {
    let after = request.after;
    for (;;) {
      const asked = { after, filter: request.filter, limit: REPLAY_PAGE };
      const page = await this.#patiently(request.signal, () => this.read(scope, asked));
      if (page === null) return after;
      if (page.gap) yield { kind: 'gap', reason: page.gap, cursor: page.from };
      for (const event of page.events) if (request.may?.(event) ?? true) yield deliveryOf(event, page.cursor.epoch);
      after = page.cursor;
      if (!page.hasMore && after.position >= until) return after;
    }
  }

  /** Tries until it works: an outage of the database is a pause of a subscription, not its end. Null = the signal was aborted. */
  async #patiently<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T | null> {
    while (!signal.aborted) {
      try {
        return await attempt();
      } catch (error) {
        if (isAboutTheRequest(error)) throw error;
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    return null;
  }
}

/** Delivers what the tail tells until the subscription breaks; returns where a replay must go on. */
async function* live(
  subscription: Subscription,
  from: Cursor,
  request: FollowRequest,
): AsyncGenerator<Delivery, Cursor, undefined> {
  let cursor = from;
  while (await subscription.goesOn(request.heartbeatMs ?? HEARTBEAT_MS, request.signal)) {
    const { events, scanned } = subscription.take();
    for (const event of events) {
      // What the replay has delivered already.
      if (event.position <= cursor.position) continue;
      cursor = { epoch: cursor.epoch, position: event.position };
      yield { kind: 'event', cursor, event };
    }
    if (scanned !== null && scanned > cursor.position) cursor = { epoch: cursor.epoch, position: scanned };
    if (events.length === 0) yield { kind: 'heartbeat', cursor };
  }
  return cursor;
}

const deliveryOf = (event: LogEvent, epoch: number): Delivery => ({
  kind: 'event',
  cursor: { epoch, position: event.position },
  event,
});

const isWanted = (event: LogEvent, scope: Scope, request: FollowRequest): boolean =>
  isVisible(event, scope) && matches(event, request.filter) && (request.may?.(event) ?? true);

/** SQLSTATE classes 22 (data) and 42 (syntax, rights): the same request will fail for ever. */
const isAboutTheRequest = (error: unknown): boolean => /^(22|42)/.test(sqlStateOf(error) ?? '');
