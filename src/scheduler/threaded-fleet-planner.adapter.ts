import { Worker } from 'node:worker_threads';
import { err, ok, type Result } from '../kernel/result.ts';
import type { FleetPlanner, FleetQuestion } from './fleet-planner.port.ts';
import type { FleetPlan } from './plan-fleet.ts';

export interface ThreadedPlannerOptions {
  /** What the thread runs: it answers each `FleetQuestion` with a `FleetPlan`, in order. */
  readonly script: URL;
  /** A plan that is not there by then is given up, and its thread with it. */
  readonly answerMs: number;
  /** A thread that nobody asks for so long is ended: it holds some 50 MiB. Higher: they are held in vain; lower: each plan loads the solver anew. */
  readonly idleMs: number;
}

/** Questions that wait for the one that is worked on. Higher: the last waits for minutes; lower: a few callers at a time get less. */
const MAX_WAITING = 4;
/** Of the thread. Higher: a huge plan starves the control plane; lower: large fleets are not planned. */
const MAX_HEAP_MIB = 256;

/** One thread, started by the first question. One that breaks, hangs or grows too large is ended, and the next question starts another. */
export class ThreadedFleetPlanner implements FleetPlanner {
  readonly #options: ThreadedPlannerOptions;
  #worker: Worker | null = null;
  #idle: NodeJS.Timeout | undefined;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: ThreadedPlannerOptions) {
    this.#options = options;
  }

  plan(question: FleetQuestion): Promise<Result<FleetPlan, string>> {
    if (this.#waiting > MAX_WAITING) return Promise.resolve(err('The planner has too many questions already.'));
    this.#waiting += 1;
    const answer = this.#last.then(() => this.#answer(question)).finally(() => void (this.#waiting -= 1));
    this.#last = answer;
    return answer;
  }

  /** Ends the thread; who waits is told so. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#end();
  }

  async #answer(question: FleetQuestion): Promise<Result<FleetPlan, string>> {
    if (this.#stopped) return err('The planner is stopped.');
    clearTimeout(this.#idle);
    const worker = (this.#worker ??= this.#start());
    const answer = await ask(worker, question, this.#options.answerMs);
    if (!answer.ok) await this.#end();
    else {
      this.#idle = setTimeout(() => void this.#end(), this.#options.idleMs);
      this.#idle.unref();
    }
    return answer;
  }

  /** Without the environment: what it computes with is in the question. */
  #start(): Worker {
    const resourceLimits = { maxOldGenerationSizeMb: MAX_HEAP_MIB };
    const worker = new Worker(this.#options.script, { env: {}, execArgv: [], resourceLimits });
    // Nobody may be listening when it breaks; the next question starts another.
    worker.on('error', () => undefined);
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = null;
    });
    worker.unref();
    return worker;
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }
}

/** Whatever comes first: its answer, its end, or the time that it has. */
function ask(worker: Worker, question: FleetQuestion, answerMs: number): Promise<Result<FleetPlan, string>> {
  const { promise, resolve } = Promise.withResolvers<Result<FleetPlan, string>>();
  const timer = setTimeout(() => resolve(err(`The planner had no answer within ${answerMs / 1_000} s.`)), answerMs);
  const answered = (plan: FleetPlan): void => resolve(ok(plan));
  const broken = (error: Error): void => resolve(err(`The planner broke: ${error.message}`));
  const ended = (): void => resolve(err('The planner ended before it had an answer.'));
  worker.on('message', answered).on('error', broken).on('exit', ended);
  worker.postMessage(question);
  return promise.finally(() => {
    clearTimeout(timer);
    worker.off('message', answered).off('error', broken).off('exit', ended);
  });
}
