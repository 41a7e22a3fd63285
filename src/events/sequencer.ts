import type { Database } from '../persistence/database.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Rows moved by one statement. Higher holds the head's lock longer, lower takes more statements for a burst. */
const ROWS_PER_STATEMENT = 2_000;
/** How long one statement may take. Higher lets a stuck one hold the head for all, lower gives up on a slow disk. */
const TIMEOUT_MS = 5_000;
/** Without a signal the outbox is looked at this often: rows of an instance that died after its commit. */
const EVERY_MS = 1_000;

/**
 * Numbers committed events: after each commit of this process that recorded any, and once a second. One run at a time and at most one
 * waiting, so that a thousand commits at once cost two statements and not a thousand.
 */
export class Sequencer {
  readonly #database: Database;
  readonly #logger: Logger;
  #running: Promise<void> | null = null;
  #pending: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #unsubscribe: (() => void) | null = null;

  constructor(deps: { readonly database: Database; readonly logger: Logger }) {
    this.#database = deps.database;
    this.#logger = deps.logger;
  }

  start(): void {
    this.#unsubscribe ??= this.#database.onRecorded(() => this.#quietly());
    this.#timer ??= setInterval(() => this.#quietly(), EVERY_MS);
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    if (this.#timer) clearInterval(this.#timer);
    await this.#pending?.catch(() => undefined);
    await this.#running?.catch(() => undefined);
  }

  /** Resolves when everything that was committed before the call has a position. Throws when the database cannot be reached. */
  sequence(): Promise<void> {
    if (!this.#running) return (this.#running = this.#drain().finally(() => (this.#running = null)));
    const after = this.#running.catch(() => undefined);
    return (this.#pending ??= after.then(() => {
      this.#pending = null;
      return this.sequence();
    }));
  }

  #quietly(): void {
    // What fails here is tried again within a second; events wait in the outbox, none is lost.
    this.sequence().catch((error: unknown) => this.#logger.debug({ err: error }, 'sequencing failed'));
  }

  async #drain(): Promise<void> {
    let moved: number;
    do moved = await this.#move();
    while (moved === ROWS_PER_STATEMENT);
  }

  async #move(): Promise<number> {
    const [row] = await this.#database.autocommit<{ moved: number }>(
      `select sequence_events(${ROWS_PER_STATEMENT}) as moved`,
      TIMEOUT_MS,
    );
    return row?.moved ?? 0;
  }
}
