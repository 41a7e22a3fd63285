import type { Random } from '../kernel/random.ts';
import { LeaseKeeper } from '../reconcile/lease-keeper.ts';
import { Loop, once } from '../reconcile/loop.ts';
import { pause } from '../reconcile/pause.ts';
import { NodesReconciler, type NodesReconcilerDeps } from './nodes.reconciler.ts';

/** Without a signal a pass comes this often. Higher: idle nodes and providers are looked at late; lower: reads for nothing. */
const IDLE_MS = 10_000;
/** Changes that come this close together are looked at once. Higher: a notice is acted on later; lower: each pod of a rollout is a pass. */
const TOGETHER_MS = 200;
/** Kubelets are asked this often. Higher: short peaks are averaged away; lower: more requests. The meter takes 15 to 60 seconds. */
const MEASURE_MS = 30_000;

export interface NodesLoopDeps extends Omit<NodesReconcilerDeps, 'lease'> {
  readonly random: Random;
  /** Names this instance, different for every start. */
  readonly holder: string;
}

/** Drives the nodes of one cluster: takes their lease, runs a pass at each change and now and then without, and measures. */
export class NodesLoop {
  readonly #deps: NodesLoopDeps;
  readonly #keeper: LeaseKeeper;
  readonly #passing: Loop;
  readonly #measuring: Loop;
  readonly #stopping = new AbortController();
  #watching: Promise<void> | null = null;

  constructor(deps: NodesLoopDeps) {
    this.#deps = deps;
    const name = `nodes/${deps.clusterId}`;
    this.#keeper = new LeaseKeeper({ ...deps, name, onChange: () => this.#passing.wake() });
    const reconciler = new NodesReconciler({ ...deps, lease: () => this.#keeper.current() });
    this.#passing = new Loop({ ...deps, name, everyMs: IDLE_MS, body: once(reconciler, deps.clock) });
    this.#measuring = new Loop({ ...deps, name: `usage of ${name}`, everyMs: MEASURE_MS, body: () => reconciler.measure() });
  }

  start(): void {
    this.#keeper.start();
    this.#passing.start();
    this.#measuring.start();
    this.#watching ??= this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#passing.stop(), this.#measuring.stop(), this.#watching]);
    await this.#keeper.stop();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#deps.inventory.changed(signal);
      await pause(TOGETHER_MS, signal);
      this.#passing.wake();
    }
  }
}
