import { randomUUID } from 'node:crypto';
import {
  ClusterUnreachable,
  type ApplyResult,
  type ClusterObservation,
  type ClusterPort,
  type Fence,
  type LogPage,
  type ObservedReplica,
  type ReplicaState,
  type WorkloadSpec,
} from '../../src/deployments/cluster.port.ts';
import { workloadDigest } from '../../src/deployments/make-workload-spec.ts';
import type { Clock } from '../../src/kernel/clock.ts';

/** What replicas of a model version do: get ready, start for ever, fail again and again, be refused, or have to wait. */
export type Behaviour = 'ready' | 'never' | 'failing' | 'refused' | 'waiting';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Slot = Omit<Mutable<ObservedReplica>, 'transitions'> & {
  transitions: { at: number; state: ReplicaState; estimated: boolean }[];
};

/** Of this replica alone; on loopback, where nobody listens. */
const deadAddress = (replicaId: string): string =>
  `127.${[-6, -4, -2].map((at) => parseInt(replicaId.slice(at).slice(0, 2), 16)).join('.')}:9`;

/** A cluster in memory that behaves: fenced by epoch and generation; replicas take one observation per state. It outlives control planes. */
export class SimulatedCluster implements ClusterPort {
  readonly kind = 'simulated' as const;
  /** By model version number. */
  readonly behaviours = new Map<string, Behaviour>();
  /** Every effect that was let through, in words. */
  readonly effects: string[] = [];
  reachable = true;
  /** True: it says of each workload what it was told, so that meddling shows. */
  tellsSpecs = false;
  readonly #clock: Clock;
  readonly #workloads = new Map<string, WorkloadSpec>();
  readonly #slots = new Map<string, Slot>();
  /** Workloads of which only a part is left. */
  readonly #parts = new Set<string>();
  readonly #logs = new Map<string, string[]>();
  readonly #waiting = new Set<() => void>();
  readonly #addressOf: (replicaId: string) => string;
  #changes = 0;
  #seen = 0;
  #epoch = 0;

  /** Replicas serve nothing unless `addressOf` gives them an address where somebody listens. */
  constructor(clock: Clock, addressOf: (replicaId: string) => string = deadAddress) {
    this.#clock = clock;
    this.#addressOf = addressOf;
  }

  /** A replica writes a line. */
  write(replicaId: string, text: string): void {
    this.#logs.get(replicaId)?.push(text);
  }

  /** Somebody deletes everything there, at once or, for a while, but for parts that stand for nothing. */
  wipe({ leavingParts = false } = {}): void {
    if (leavingParts) for (const id of this.#workloads.keys()) this.#parts.add(id);
    this.#workloads.clear();
    for (const slot of this.#slots.values()) slot.capacityUntil ??= this.#clock.now();
    this.#changed();
  }

  /** True: it leaves out the replicas that it has, as if it knew of none. */
  forgetful = false;

  /** Somebody restarts everything there: other replicas take the place of those that are there. */
  restart(): void {
    for (const slot of this.#slots.values()) slot.capacityUntil ??= this.#clock.now();
    for (const workload of this.#workloads.values()) this.#fill(workload);
    this.#changed();
  }

  /** As many workloads that nobody of this database wishes, with a replica each; gives their ids. */
  plant(count: number): string[] {
    return Array.from({ length: count }, (_, n) => {
      const workloadId = randomUUID();
      const [like] = this.#workloads.values();
      const spec = { ...like, workloadId, revisionId: workloadId, generation: 1, replicas: 1, modelVersion: `stranger ${n}` };
      this.#workloads.set(workloadId, spec as WorkloadSpec);
      this.#fill(spec as WorkloadSpec);
      this.#changed();
      return workloadId;
    });
  }

  /** Somebody meddles with a workload: it is no longer as told. */
  meddle(change: (spec: WorkloadSpec) => WorkloadSpec): void {
    for (const [id, spec] of this.#workloads) this.#workloads.set(id, change(spec));
    this.#changed();
  }

  /** Ids of the workloads that it knows. */
  known(): string[] {
    return [...this.#workloads.keys()].sort();
  }

  apply(workload: WorkloadSpec, fence: Fence): Promise<ApplyResult> {
    return this.#fenced(fence, () => {
      const known = this.#workloads.get(workload.workloadId);
      if (known && known.generation > workload.generation)
        return { outcome: 'stale_generation', seenGeneration: known.generation };
      if (known?.generation === workload.generation && workloadDigest(known) === workloadDigest(workload))
        return { outcome: 'unchanged' };
      if (this.#behaviour(workload) === 'refused')
        return { outcome: 'refused', reason: 'NO_CONTAINER_RUNTIME', message: 'No engine.' };
      if (this.#behaviour(workload) === 'waiting')
        return { outcome: 'refused', reason: 'NAMESPACE_ENDING', message: 'Not just now.', waits: true };
      this.#workloads.set(workload.workloadId, workload);
      this.#parts.delete(workload.workloadId);
      this.effects.push(`apply v${workload.modelVersion} ×${workload.replicas}`);
      this.#fill(workload);
      this.#changed();
      return { outcome: 'applied' };
    });
  }

  remove(workloadId: string, fence: Fence): Promise<ApplyResult> {
    return this.#fenced(fence, () => {
      const known = this.#workloads.get(workloadId);
      if (!known) return { outcome: 'unchanged' };
      this.#workloads.delete(workloadId);
      this.effects.push(`remove v${known.modelVersion}`);
      for (const slot of this.#held(workloadId)) this.#move(slot, 'draining');
      this.#changed();
      return { outcome: 'applied' };
    });
  }

  tidy(): Promise<ApplyResult> {
    return Promise.resolve({ outcome: 'unchanged' });
  }

  observe(): Promise<ClusterObservation> {
    if (!this.reachable) return Promise.reject(new ClusterUnreachable('unplugged'));
    for (const slot of this.#slots.values()) this.#live(slot);
    this.#seen = this.#changes;
    return Promise.resolve({
      observedAt: this.#clock.now(),
      workloads: [
        ...[...this.#workloads.values()].map((spec) => ({
          workloadId: spec.workloadId,
          generation: spec.generation,
          replicas: spec.replicas,
          specDigest: this.tellsSpecs ? workloadDigest(spec) : null,
          problem: null,
        })),
        ...[...this.#parts].map((workloadId) => ({ workloadId, generation: 0, replicas: 0, specDigest: '', problem: null })),
      ],
      replicas: [...(this.forgetful ? [] : this.#slots.values())].map((slot) => ({
        ...slot,
        transitions: [...slot.transitions],
      })),
    });
  }

  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#changes !== this.#seen) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #changed(): void {
    this.#changes += 1;
    for (const wake of this.#waiting) wake();
  }

  logs(replicaId: string, { cursor, limit }: { readonly cursor: string | null; readonly limit: number }): Promise<LogPage> {
    if (!this.reachable) return Promise.reject(new ClusterUnreachable('unplugged'));
    const all = this.#logs.get(replicaId) ?? [];
    const from = cursor === null ? Math.max(0, all.length - limit) : Number(cursor);
    const texts = all.slice(from, from + limit);
    const lines = texts.map((text) => ({ at: this.#clock.now(), stream: 'stdout' as const, text }));
    return Promise.resolve({ lines, cursor: String(from + texts.length) });
  }

  /** How many replicas of each version hold their slot, `v1 serving ×2`. */
  running(): string[] {
    const held = [...this.#slots.values()].filter(({ capacityUntil }) => capacityUntil === null);
    const words = held.map((slot) => `v${this.#versionOf.get(slot.workloadId) ?? '?'} ${slot.state}`).sort();
    return [...new Set(words)].map((word) => `${word} ×${words.filter((one) => one === word).length}`);
  }

  readonly #versionOf = new Map<string, string>();

  #fenced(fence: Fence, effect: () => ApplyResult): Promise<ApplyResult> {
    if (!this.reachable) return Promise.reject(new ClusterUnreachable('unplugged'));
    if (fence.epoch < this.#epoch) return Promise.resolve({ outcome: 'stale_epoch', seenEpoch: this.#epoch });
    this.#epoch = fence.epoch;
    return Promise.resolve(effect());
  }

  #fill(workload: WorkloadSpec): void {
    this.#versionOf.set(workload.workloadId, workload.modelVersion);
    const held = this.#held(workload.workloadId).filter(({ state }) => state !== 'draining');
    for (const slot of held.slice(workload.replicas)) this.#move(slot, 'draining');
    for (let n = held.length; n < workload.replicas; n += 1) this.#start(workload);
  }

  #start({ workloadId, revisionId }: WorkloadSpec): void {
    const at = this.#clock.now();
    const replicaId = randomUUID();
    this.#logs.set(replicaId, ['hello']);
    const life = { state: 'starting' as const, address: null, capacityFrom: at, capacityUntil: null, untilEstimated: false };
    this.#slots.set(replicaId, {
      replicaId,
      workloadId,
      revisionId,
      ...life,
      transitions: [{ at, state: 'starting', estimated: false }],
      restarts: 0,
      message: '',
      failing: false,
    });
  }

  /** One step of a life per observation. */
  #live(slot: Slot): void {
    if (slot.capacityUntil !== null) return;
    if (slot.state === 'draining') {
      slot.capacityUntil = this.#clock.now();
      slot.address = null;
      return;
    }
    const workload = this.#workloads.get(slot.workloadId);
    const behaviour = workload ? this.#behaviour(workload) : 'ready';
    if (behaviour === 'ready' && slot.state !== 'serving') {
      this.#move(slot, 'serving');
      slot.address = this.#addressOf(slot.replicaId);
      slot.failing = false;
    } else if (behaviour !== 'ready' && slot.state === 'serving') {
      this.#move(slot, 'unready');
    }
    slot.failing = behaviour === 'failing';
    slot.message = behaviour === 'failing' ? 'It exited with status 1.' : '';
  }

  #move(slot: Slot, state: ReplicaState): void {
    if (slot.state === state) return;
    slot.state = state;
    slot.transitions.push({ at: this.#clock.now(), state, estimated: false });
  }

  #held(workloadId: string): Slot[] {
    return [...this.#slots.values()].filter((slot) => slot.workloadId === workloadId && slot.capacityUntil === null);
  }

  #behaviour = (workload: WorkloadSpec): Behaviour => this.behaviours.get(workload.modelVersion) ?? 'ready';
}
