import type { Clock } from '../kernel/clock.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Random } from '../kernel/random.ts';
import type { Logger } from '../telemetry/logger.ts';
import { backoffMs, type BackoffLimits } from './backoff.ts';

/** Waits after failures. Higher leaves a mended cause unnoticed for long, lower hammers what is down. */
const BACKOFF: BackoffLimits = { baseMs: 500, maxMs: 30_000 };

/** The three files of a loop: everything that is observed, the pure decision, and making it true without choices of its own. */
export interface Reconciliation<Input, Plan> {
  prepare(signal: AbortSignal): Promise<Input>;
  /** Pure: the same input and `now` give the same plan. */
  plan(input: Input, now: Instant): Plan;
  /** Idempotent; throws to be tried again later. */
  execute(plan: Plan, signal: AbortSignal): Promise<void>;
}

/** The body of a `Loop` that runs prepare → plan → execute once. */
export const once =
  <Input, Plan>(steps: Reconciliation<Input, Plan>, clock: Clock) =>
  async (signal: AbortSignal): Promise<void> => {
    const input = await steps.prepare(signal);
    signal.throwIfAborted();
    const plan = steps.plan(input, clock.now());
    await steps.execute(plan, signal);
  };

/** One body of several: one that fails does not keep the later ones; its failure is thrown at the end. */
export const inOrder =
  (...bodies: readonly ((signal: AbortSignal) => Promise<unknown>)[]) =>
  async (signal: AbortSignal): Promise<void> => {
    const failures: unknown[] = [];
    for (const body of bodies) {
      signal.throwIfAborted();
      await body(signal).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  };

export interface LoopOptions {
  /** For logs and metrics. */
  readonly name: string;
  /** Longest time between two runs, in ms. */
  readonly everyMs: number;
  /** After a run no wake starts another one for so long, in ms, unless it is urgent; absent = 0. */
  readonly restMs?: number;
  /** One level-triggered run: takes no input, never retries inside itself. */
  readonly body: (signal: AbortSignal) => Promise<void>;
  readonly random: Random;
  readonly logger: Logger;
  readonly backoff?: BackoffLimits;
  /** Told after each run, for metrics. */
  readonly onRun?: (outcome: 'ok' | 'failed') => void;
}

/** Runs a body by timer and by signal; runs never overlap, failures back off, stopping waits for the run that is under way. */
export class Loop {
  readonly #options: LoopOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;
  #woken = false;
  #urgent = false;
  #rests = false;
  #interrupt: (() => void) | null = null;
  #failures = 0;

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  /** Starts with a run at once; calling it again does nothing. */
  start(): void {
    this.#running ??= this.#run();
  }

  /**
   * Asks for a run soon: during a run, for another after it; while it rests, for one after that, or if it is urgent at once; during a back-off, nothing, so
   * that a failing loop is not driven hot.
   */
  wake({ isUrgent = false }: { readonly isUrgent?: boolean } = {}): void {
    this.#woken = true;
    this.#urgent ||= isUrgent;
    if (this.#failures === 0 && (this.#urgent || !this.#rests)) this.#interrupt?.();
  }

  /** Aborts the signal of the run under way and resolves when it has ended; no run starts afterwards. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#interrupt?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#woken = false;
      this.#urgent = false;
      await this.#runOnce();
      await this.#pause();
    }
  }

  async #runOnce(): Promise<void> {
    const { body, name, logger, onRun } = this.#options;
    try {
      await body(this.#stopping.signal);
      this.#failures = 0;
      onRun?.('ok');
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#failures += 1;
      logger.warn({ loop: name, failures: this.#failures, err: error }, 'a loop run failed');
      onRun?.('failed');
    }
  }

  async #pause(): Promise<void> {
    const { everyMs, restMs = 0, backoff = BACKOFF, random } = this.#options;
    if (this.#failures > 0) return this.#wait(backoffMs(this.#failures, backoff, random));
    if (restMs > 0 && !this.#urgent) {
      this.#rests = true;
      await this.#wait(restMs);
      this.#rests = false;
    }
    if (!this.#woken) await this.#wait(Math.max(0, everyMs - restMs));
  }

  #wait(ms: number): Promise<void> {
    if (this.#stopping.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#interrupt = null;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#interrupt = done;
    });
  }
}
