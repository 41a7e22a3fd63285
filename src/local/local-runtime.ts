import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ApplyResult, ClusterObservation, Fence, LogPage, WorkloadSpec } from '../deployments/cluster.port.ts';
import type { Clock } from '../kernel/clock.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Random } from '../kernel/random.ts';
import type { Logger } from '../telemetry/logger.ts';
import { admit, type Admission } from './admit.ts';
import { bootId } from './processes.ts';
import { ReplicaLog } from './replica-log.ts';
import {
  giveUp,
  isForgettable,
  isHeld,
  isSpent,
  isWanted,
  newRecord,
  observed,
  surplus,
  type ReplicaRecord,
} from './replica-record.ts';
import { ReplicaRunner, type RunnerDeps } from './replica-runner.ts';
import { prepareHomes, readOrNull, RecordFolder, writeDurably, type RuntimePaths } from './runtime-folder.ts';

/** How often replicas are looked at. Lower: more CPU when idle; higher: crashes of adopted replicas and leaks are seen late. */
const TICK_MS = 1_000;
/** How often it is written down that somebody watched; the bound of an estimated time after a crash of the runtime. */
const ALIVE_EVERY_MS = 5_000;
/** How often unused artifacts are looked for. Higher: they stay longer; lower: reads the folder for nothing. */
const PRUNE_EVERY_MS = 3_600_000;

export interface LocalRuntimeDeps extends Omit<RunnerDeps, 'changed' | 'save' | 'logOf'> {
  readonly paths: RuntimePaths;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly admission: Pick<Admission, 'allowProcess' | 'isRoot'>;
}

/** Replicas as processes of this machine: holds the wish per workload and makes it true, with or without a control plane. */
export class LocalRuntime {
  readonly #deps: LocalRuntimeDeps;
  readonly #workloads: RecordFolder<WorkloadSpec>;
  readonly #records: RecordFolder<ReplicaRecord>;
  readonly #wishes = new Map<Id, WorkloadSpec>();
  readonly #runners = new Map<Id, ReplicaRunner>();
  readonly #logs = new Map<Id, ReplicaLog>();
  readonly #waiting = new Set<() => void>();
  #version = 1;
  #epoch = 0;
  #aliveAt = 0;
  #prunedAt = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(deps: LocalRuntimeDeps) {
    this.#deps = deps;
    this.#workloads = new RecordFolder(join(deps.paths.folder, 'workloads'));
    this.#records = new RecordFolder(join(deps.paths.folder, 'replicas'));
    this.#epoch = Number(readOrNull(this.#file('epoch')) ?? 0);
  }

  /** Takes over what an earlier runtime left, then watches. */
  start(): void {
    prepareHomes(this.#deps.paths);
    const boot = bootId();
    const rebooted = readOrNull(this.#file('boot')) !== boot;
    const lastSeen = Number(readOrNull(this.#file('alive')) ?? this.#deps.clock.now());
    if (rebooted) this.#workloads.all().forEach((spec) => this.#workloads.delete(spec.workloadId));
    for (const spec of this.#workloads.all()) this.#wishes.set(spec.workloadId, spec);
    for (const record of this.#records.all()) this.#resume(record, rebooted, lastSeen);
    writeDurably(this.#file('boot'), boot);
    for (const spec of this.#wishes.values()) this.#converge(spec.workloadId);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  /** After a reboot nothing runs any more: the slots are given up and the control plane applies its wish anew. */
  #resume(record: ReplicaRecord, rebooted: boolean, lastSeen: number): void {
    const gone = rebooted && isHeld(record);
    const kept = gone ? { ...giveUp(record, lastSeen, true), message: 'The machine was restarted.' } : record;
    if (gone) this.#records.put(record.replicaId, kept);
    this.#runner(kept).resume(lastSeen);
  }

  /** Stops watching; the replicas run on. */
  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    for (const runner of this.#runners.values()) runner.stop();
    this.#changed();
  }

  apply(spec: WorkloadSpec, fence: Fence): ApplyResult {
    const stale = this.#pass(fence);
    if (stale) return stale;
    const known = this.#wishes.get(spec.workloadId);
    if (known && known.generation > spec.generation) return { outcome: 'stale_generation', seenGeneration: known.generation };
    if (known?.generation === spec.generation) return { outcome: 'unchanged' };
    const refusal = admit(spec, { ...this.#deps.admission, teamIds: this.#teams() });
    if (refusal) return refusal;
    this.#workloads.put(spec.workloadId, spec);
    this.#wishes.set(spec.workloadId, spec);
    this.#converge(spec.workloadId);
    this.#changed();
    return { outcome: 'applied' };
  }

  remove(workloadId: Id, fence: Fence): ApplyResult {
    const stale = this.#pass(fence);
    if (stale) return stale;
    if (!this.#wishes.delete(workloadId)) return { outcome: 'unchanged' };
    this.#workloads.delete(workloadId);
    this.#converge(workloadId);
    this.#changed();
    return { outcome: 'applied' };
  }

  /** Gives every replica up and forgets every wish; resolves when the last one is gone. */
  async drainAll(): Promise<void> {
    for (const workloadId of [...this.#wishes.keys()]) {
      this.#wishes.delete(workloadId);
      this.#workloads.delete(workloadId);
    }
    for (const runner of this.#runners.values()) if (isWanted(runner.record)) runner.drain();
    this.#changed();
    while ([...this.#runners.values()].some((runner) => isHeld(runner.record)))
      await this.changedAfter(this.#version, new AbortController().signal);
  }

  #pass({ epoch }: Fence): ApplyResult | null {
    if (epoch < this.#epoch) return { outcome: 'stale_epoch', seenEpoch: this.#epoch };
    if (epoch > this.#epoch) writeDurably(this.#file('epoch'), String(epoch));
    this.#epoch = epoch;
    return null;
  }

  #teams(): readonly Id[] {
    const held = [...this.#runners.values()].filter((runner) => isHeld(runner.record)).map((runner) => runner.record.spec.teamId);
    return [...held, ...[...this.#wishes.values()].map((spec) => spec.teamId)];
  }

  /** Starts what is missing, drains what is too much. */
  #converge(workloadId: Id): void {
    const wish = this.#wishes.get(workloadId);
    const runners = [...this.#runners.values()].filter(
      (runner) => runner.record.spec.workloadId === workloadId && isWanted(runner.record),
    );
    for (const runner of runners) if (wish) runner.respecify(wish);
    for (const record of surplus(
      runners.map((runner) => runner.record),
      wish?.replicas ?? 0,
    ))
      this.#runners.get(record.replicaId)?.drain();
    if (!wish) return;
    for (let missing = wish.replicas - runners.length; missing > 0; missing -= 1) {
      const now = this.#deps.clock.now();
      const record = newRecord(newId(now, this.#deps.random), wish, now);
      this.#records.put(record.replicaId, record);
      this.#runner(record).resume(now);
    }
  }

  #runner(record: ReplicaRecord): ReplicaRunner {
    const runner = new ReplicaRunner(record, {
      ...this.#deps,
      save: (next) => this.#records.put(next.replicaId, next),
      changed: () => this.#changed(),
      logOf: (replicaId) => this.#log(replicaId),
    });
    this.#runners.set(record.replicaId, runner);
    return runner;
  }

  #log(replicaId: Id): ReplicaLog {
    const log = this.#logs.get(replicaId) ?? new ReplicaLog(join(this.#deps.paths.folder, 'logs', replicaId));
    this.#logs.set(replicaId, log);
    return log;
  }

  #tick(): void {
    const now = this.#deps.clock.now();
    for (const runner of this.#runners.values()) {
      if (isForgettable(runner.record, now)) this.#forget(runner.record);
      else if (isSpent(runner.record)) this.#replace(runner);
      else if (isHeld(runner.record)) runner.tick();
    }
    if (now - this.#prunedAt >= PRUNE_EVERY_MS) this.#prune(now);
    if (now - this.#aliveAt < ALIVE_EVERY_MS) return;
    this.#aliveAt = now;
    this.#noteAlive(now);
  }

  #replace(runner: ReplicaRunner): void {
    runner.drain();
    this.#converge(runner.record.spec.workloadId);
    this.#changed();
  }

  /** On a full disk it goes on watching: only the bound of an estimated time grows. */
  #noteAlive(now: Instant): void {
    try {
      writeDurably(this.#file('alive'), String(now));
    } catch (error) {
      this.#deps.logger.error({ err: error }, 'the sign of life could not be written');
    }
  }

  #prune(now: Instant): void {
    this.#prunedAt = now;
    const held = [...this.#runners.values()].filter((runner) => isHeld(runner.record)).map((runner) => runner.record.spec);
    const runtimes = [...this.#wishes.values(), ...held].map(({ runtime }) => runtime);
    const inUse = runtimes.flatMap((runtime) => (runtime.format === 'onnx' ? [runtime.artifactDigest] : []));
    this.#deps.artifacts.prune(new Set(inUse), now);
  }

  #forget({ replicaId }: ReplicaRecord): void {
    this.#runners.delete(replicaId);
    this.#records.delete(replicaId);
    this.#log(replicaId).remove();
    this.#logs.delete(replicaId);
    rmSync(join(this.#deps.paths.homes, replicaId), { recursive: true, force: true });
  }

  observe(): ClusterObservation & { readonly version: number } {
    const now = this.#deps.clock.now();
    const workloads = [...this.#wishes.values()].map(({ workloadId, generation, replicas }) => ({
      workloadId,
      generation,
      replicas,
      specDigest: null,
      problem: null,
    }));
    const replicas = [...this.#runners.values()].map((runner) => observed(runner.record, now));
    return { observedAt: now, workloads, replicas, version: this.#version };
  }

  /** Resolves when the version is above `after`, or when the signal aborts. */
  changedAfter(after: number, signal: AbortSignal): Promise<void> {
    if (this.#version !== after || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done);
    });
  }

  #changed(): void {
    this.#version += 1;
    for (const wake of this.#waiting) wake();
  }

  logs(replicaId: Id, options: { readonly cursor: string | null; readonly limit: number }): LogPage {
    if (!this.#runners.has(replicaId)) return { lines: [], cursor: options.cursor ?? '0-0' };
    return this.#log(replicaId).page(options, this.#deps.clock.now());
  }

  #file(name: string): string {
    return join(this.#deps.paths.folder, name);
  }
}
