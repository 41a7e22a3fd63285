import { KubernetesUnreachable } from './errors.ts';

/** Calls that wait for a place. Higher: memory and old answers; lower: a large burst fails instead of waiting. */
const MAX_WAITING = 5_000;

/** Lets so many calls run at a time; the others wait their turn, oldest first. */
export class InFlight {
  readonly #max: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** Resolves to how to give the place back. Throws `KubernetesUnreachable` ("busy") when too many wait. */
  async enter(signal: AbortSignal | undefined): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#running >= this.#max) await this.#turn(signal);
    else this.#running += 1;
    let left = false;
    return () => {
      if (!left) this.#leave();
      left = true;
    };
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING)
      throw new KubernetesUnreachable('busy', `more than ${MAX_WAITING} calls wait for this cluster`);
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(enter);
    });
  }

  /** The place goes to the next in line, or is free. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running -= 1;
  }
}
