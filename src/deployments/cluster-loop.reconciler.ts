import type { Random } from '../kernel/random.ts';
import { LeaseKeeper } from '../reconcile/lease-keeper.ts';
import { Loop } from '../reconcile/loop.ts';
import { pause } from '../reconcile/pause.ts';
import { DeploymentsReconciler, type DeploymentsReconcilerDeps } from './deployments.reconciler.ts';
import type { DeploymentStep } from './plan-cluster.ts';

/** Without a signal a pass comes this often. Higher notices silent changes late, lower reads for nothing. */
const IDLE_MS = 10_000;
/** While something is on its way. Higher makes rollouts coarse, lower reads for nothing. */
const BUSY_MS = 500;
/** After a pass that wrote something, which may have a next step. Higher makes rollouts slow, lower keeps others from what was written. */
const NEXT_STEP_MS = 100;
/** Changes of a cluster that come this close together are looked at once. Higher is slower, lower looks at each replica of a batch by itself. */
const TOGETHER_MS = 2;
/** Between two looks because of changes, at least. Higher is slower, lower asks a cluster in vain that is hurt. */
const MIN_REST_MS = 10;
/** A loop that changes keep awake rests as long as its last pass took, at most this long. Higher is slower, lower leaves the process no time for others. */
const MAX_REST_MS = 50;
/** After the cluster could not say whether it changed. Higher: it is noticed late when it is back; lower: it is asked in vain. */
const RETRY_MS = 1_000;

export interface ClusterLoopDeps extends Omit<DeploymentsReconcilerDeps, 'lease'> {
  readonly random: Random;
  /** Names this instance, different for every start. */
  readonly holder: string;
}

/** Drives one cluster: takes its lease, runs a pass at each signal, of the cluster or of a wish, and now and then without. */
export class ClusterLoop {
  readonly #deps: ClusterLoopDeps;
  readonly #keeper: LeaseKeeper;
  readonly #loop: Loop;
  readonly #stopping = new AbortController();
  #soon: ReturnType<typeof setTimeout> | null = null;
  #watching: Promise<void> | null = null;
  #lastPassMs = 0;

  constructor(deps: ClusterLoopDeps) {
    this.#deps = deps;
    const name = `deployments/${deps.clusterId}`;
    this.#keeper = new LeaseKeeper({ ...deps, name, onChange: () => this.#loop.wake() });
    const reconciler = new DeploymentsReconciler({ ...deps, lease: () => this.#keeper.current() });
    this.#loop = new Loop({
      ...deps,
      name,
      everyMs: IDLE_MS,
      body: (signal) => this.#pass(reconciler, signal),
      onRun: (outcome) => deps.metrics.passed(outcome),
    });
  }

  start(): void {
    this.#keeper.start();
    this.#loop.start();
    this.#watching ??= this.#watch();
  }

  /** A wish was written, or something else that the loop should look at. */
  wake(): void {
    this.#loop.wake();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#soon) clearTimeout(this.#soon);
    await this.#loop.stop();
    await this.#watching;
    await this.#keeper.stop();
  }

  async #pass(reconciler: DeploymentsReconciler, signal: AbortSignal): Promise<void> {
    const began = this.#deps.clock.now();
    const input = await reconciler.prepare();
    const plan = reconciler.plan(input, this.#deps.clock.now());
    await reconciler.execute(plan, signal);
    this.#lastPassMs = this.#deps.clock.now() - began;
    if (plan?.cluster.steps.some(isStep)) this.#wakeIn(NEXT_STEP_MS);
    else if (plan?.cluster.busy) this.#wakeIn(BUSY_MS);
  }

  #wakeIn(ms: number): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#soon) clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.#loop.wake(), ms);
    this.#soon.unref();
  }

  /** Wakes the loop whenever the cluster says that something changed; one that cannot be asked is asked again. */
  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const waitMs = await this.#deps.cluster.changed(signal).then(
        () => this.#wakeOnce(signal),
        () => RETRY_MS,
      );
      await pause(waitMs, signal);
    }
  }

  /** Answers how long to wait before the next change is looked at: the pass, and a rest. */
  async #wakeOnce(signal: AbortSignal): Promise<number> {
    await pause(TOGETHER_MS, signal);
    this.#loop.wake();
    return Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, 2 * this.#lastPassMs));
  }
}

const isStep = ({ replicas, plan: { deployment, rollout, workloads } }: DeploymentStep): boolean =>
  replicas.length + workloads.length > 0 || deployment !== null || rollout !== null;
