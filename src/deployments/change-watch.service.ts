import type { EventLog } from '../events/event-log.ts';
import type { Id } from '../kernel/id.ts';
import type { Random } from '../kernel/random.ts';
import type { Scope } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { Loop } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ChangeStore, News } from './change-store.port.ts';

export interface ChangeWatchDeps {
  readonly database: Database;
  readonly changes: ChangeStore;
  readonly events: Pick<EventLog, 'onNumbered'>;
  readonly random: Random;
  readonly logger: Logger;
  /** Told which clusters a commit concerns (null = any), and whether machines will be taken away. */
  readonly onChange: (clusterIds: ReadonlySet<Id> | null, isInterrupted: boolean) => void;
}

const SCOPE: Scope = { kind: 'reconciler', loop: 'changes' };
/** Without a notification the log is looked at this often; loops come by themselves as often. Higher: a commit is noticed late when notifications are lost; lower: reads for nothing. */
const CHECK_MS = 10_000;

/** Hears of every commit, of this instance or another, and wakes the loops of the clusters that it concerns. */
export class ChangeWatch {
  readonly #deps: ChangeWatchDeps;
  readonly #loop: Loop;
  #seen: News | null = null;
  #stopHearing: readonly (() => void)[] = [];

  constructor(deps: ChangeWatchDeps) {
    this.#deps = deps;
    const backoff = { baseMs: 200, maxMs: CHECK_MS };
    this.#loop = new Loop({ ...deps, name: 'changes', everyMs: CHECK_MS, body: () => this.#look(), backoff });
  }

  start(): void {
    if (this.#stopHearing.length > 0) return;
    const wake = (): void => this.#loop.wake();
    this.#stopHearing = [this.#deps.database.onRecorded(wake), this.#deps.events.onNumbered(wake)];
    this.#loop.start();
  }

  /** Something may have been committed. */
  wake(): void {
    this.#loop.wake();
  }

  async stop(): Promise<void> {
    for (const end of this.#stopHearing) end();
    await this.#loop.stop();
  }

  async #look(): Promise<void> {
    const { database, changes, onChange } = this.#deps;
    const news = await database.read(SCOPE, (tx) => changes.newsSince(tx, this.#seen));
    this.#seen = news;
    if (news.clusterIds?.size !== 0) onChange(news.clusterIds, news.isInterrupted);
  }
}
