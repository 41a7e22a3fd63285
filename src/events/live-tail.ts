import type { Scope } from '../kernel/transaction.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Database } from '../persistence/database.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { LogState } from './cursor.ts';
import type { LogEvent } from './event.ts';
import { eventOf, logState, type EventRow } from './read-events.ts';

/** Events that the tail reads at once. Higher delays the first of a burst, lower takes more queries for it. */
const BATCH = 500;
/** Without a notification the log is looked at this often. Higher: events come late after an outage; lower: reads for nothing. */
const POLL_MS = 1_000;
/** A connection for notifications that broke is made anew after this time. Higher: what was committed meanwhile is noticed late; lower: a database that is away is hammered. */
const RECONNECT_MS = 1_000;
/** The tail sees every team; each subscriber's own filter stands between. */
const NEXT = `select * from event where position > $1 order by position limit $2`;
const SCOPE: Scope = { kind: 'reconciler', loop: 'event tail' };

/** What a subscriber is told: everything after `after` up to and including `position`. */
export interface TailBatch {
  readonly epoch: number;
  /** Null when the tail starts anew and what lies between is unknown: the subscriber replays. */
  readonly after: number | null;
  readonly events: readonly LogEvent[];
  readonly position: number;
}

export type TailListener = (batch: TailBatch) => void;

/** One reader per process that follows the head of the log and tells all subscribers. It reads only while there are any. */
export class LiveTail {
  readonly #database: Database;
  readonly #logger: Logger;
  readonly #listeners = new Set<TailListener>();
  readonly #heard = new Set<() => void>();
  #position: number | null = null;
  #epoch = 0;
  #advancing: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  #listening: ReturnType<Database['dedicatedClient']> | null = null;
  #connecting: Promise<void> | null = null;
  #reconnect: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(deps: { readonly database: Database; readonly logger: Logger }) {
    this.#database = deps.database;
    this.#logger = deps.logger;
  }

  /** Adds a subscriber; resolves with the position after which it is told everything. */
  async subscribe(listener: TailListener): Promise<number> {
    if (this.#listeners.size === 0) this.#position = null;
    this.#listeners.add(listener);
    this.#timer ??= setInterval(() => this.wake(), POLL_MS);
    await this.#listen();
    await this.#advance();
    // Between the last batch and here nothing is awaited: what comes next goes to this listener too.
    invariant(this.#position !== null, 'the tail has a position once it has advanced');
    return this.#position;
  }

  unsubscribe(listener: TailListener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0 || !this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Calls it at each notification, and when one may have been missed; it must not throw. Nothing is read for it. Returns how to end it. */
  onNumbered(listener: () => void): () => void {
    this.#heard.add(listener);
    void this.#listen();
    return () => this.#heard.delete(listener);
  }

  /** Looks at the log soon. */
  wake(): void {
    this.#advance().catch((error: unknown) => this.#logger.debug({ err: error }, 'the event tail cannot read'));
    if (!this.#listening) void this.#listen();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearInterval(this.#timer);
    if (this.#reconnect) clearTimeout(this.#reconnect);
    this.#listeners.clear();
    this.#heard.clear();
    await this.#advancing?.catch(() => undefined);
    // A connection that is just being made is ended too.
    await this.#connecting;
    await this.#listening?.end().catch(() => undefined);
  }

  #advance(): Promise<void> {
    if (this.#stopped || this.#listeners.size === 0) return Promise.resolve();
    this.#again = true;
    return (this.#advancing ??= this.#run());
  }

  async #run(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false;
        if (await this.#readBatch()) this.#again = true;
      }
    } finally {
      // In the same step as the last look at `#again`, or a wake in between would be lost.
      this.#advancing = null;
    }
  }

  /** Reads and tells one batch; true if there may be more. */
  async #readBatch(): Promise<boolean> {
    const { state, rows } = await this.#database.read(SCOPE, async (tx) => ({
      state: await logState(tx),
      rows: this.#position === null ? [] : await sqlOf(tx).query<EventRow>(NEXT, [this.#position, BATCH]),
    }));
    const after = this.#continues(state) ? this.#position : null;
    const events = after === null ? [] : rows.map(eventOf);
    if (after !== null) assertDense(after, events);
    const full = events.length === BATCH;
    const position = full ? (events.at(-1)?.position ?? state.position) : state.position;
    const news = after === null || position > after;
    this.#position = position;
    this.#epoch = state.epoch;
    if (news) for (const listener of this.#listeners) listener({ epoch: state.epoch, after, events, position });
    return full;
  }

  /** False at the start, and after a restore or a pruning that overtook the tail. */
  #continues(state: LogState): boolean {
    return (
      this.#position !== null && state.epoch === this.#epoch && state.position >= this.#position && state.pruned <= this.#position
    );
  }

  /** LISTEN on a connection of its own; when it breaks the next poll makes a new one, and polling goes on meanwhile. */
  #listen(): Promise<void> {
    if (this.#listening || this.#stopped) return Promise.resolve();
    return (this.#connecting ??= this.#connect()
      .catch((error: unknown) => {
        this.#logger.debug({ err: error }, 'cannot listen for events, polling');
        this.#listenLater();
      })
      .finally(() => (this.#connecting = null)));
  }

  /** Subscribers poll meanwhile; whoever only wants to hear does not. */
  #listenLater(): void {
    if (this.#heard.size === 0 || this.#stopped) return;
    if (this.#reconnect) clearTimeout(this.#reconnect);
    this.#reconnect = setTimeout(() => void this.#listen(), RECONNECT_MS);
    this.#reconnect.unref();
  }

  #tellHeard(): void {
    for (const listener of this.#heard) listener();
  }

  async #connect(): Promise<void> {
    const client = this.#database.dedicatedClient('purser events');
    client.on('notification', () => {
      this.#tellHeard();
      this.wake();
    });
    client.once('end', () => {
      this.#listening = null;
      this.#listenLater();
    });
    try {
      await client.connect();
      await client.query('listen purser_events');
    } catch (error) {
      // Or each poll would leave one behind.
      await client.end().catch(() => undefined);
      throw error;
    }
    this.#listening = client;
    this.#tellHeard();
  }
}

/** Positions are dense by construction; a hole would be a lost event, so it is a bug that must not pass silently. */
function assertDense(after: number, events: readonly LogEvent[]): void {
  events.forEach((event, index) =>
    invariant(event.position === after + index + 1, `event log: ${event.position} follows ${after + index}`),
  );
}
