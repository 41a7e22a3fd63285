import type { LogEvent } from './event.ts';
import type { TailBatch } from './live-tail.ts';

/** Events that wait for a slow reader. Higher costs memory per reader, lower sends bursts through a replay from the table. */
const MAX_BUFFERED = 1_000;

/** What the tail told one reader and it has not taken yet. Too much of it breaks the subscription, and the reader replays. */
export class Subscription {
  readonly #wants: (event: LogEvent) => boolean;
  #events: LogEvent[] = [];
  #scanned: number | null = null;
  #epoch: number | null = null;
  /** Events were dropped, or the tail lost its place: only a replay can tell what was missed. */
  #broken = false;
  #ring: (() => void) | null = null;

  constructor(wants: (event: LogEvent) => boolean) {
    this.#wants = wants;
  }

  /** The tail's listener. */
  readonly hear = (batch: TailBatch): void => {
    if (this.#scanned !== null && (batch.after !== this.#scanned || batch.epoch !== this.#epoch)) this.#broken = true;
    const wanted = batch.events.filter(this.#wants);
    if (this.#events.length + wanted.length > MAX_BUFFERED) this.#broken = true;
    if (this.#broken) this.#events = [];
    else this.#events.push(...wanted);
    this.#scanned = batch.position;
    this.#epoch = batch.epoch;
    this.#ring?.();
  };

  /** Takes what has come; `scanned` is how far the tail has looked, null if it told nothing yet. */
  take(): { readonly events: readonly LogEvent[]; readonly scanned: number | null } {
    const events = this.#events;
    this.#events = [];
    return { events, scanned: this.#scanned };
  }

  /** Waits for something to take or for the time to be up; false once it is broken or the signal is aborted. */
  async goesOn(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    await this.#wait(timeoutMs, signal);
    return !this.#broken && !signal.aborted;
  }

  /** Resolves when there is something to take, it is broken, the time is up, or the signal is aborted. */
  #wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (this.#events.length > 0 || this.#broken || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#ring = null;
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done);
      // A batch with nothing for this reader does not wake it: its heartbeat carries how far the tail has looked.
      this.#ring = () => {
        if (this.#events.length > 0 || this.#broken) done();
      };
    });
  }
}
