import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import type { WorkloadSpec } from '../deployments/cluster.port.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Random } from '../kernel/random.ts';
import { backoffMs } from '../reconcile/backoff.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ArtifactCache } from './artifact-cache.ts';
import type { MemoryLimit } from './memory-limit.ts';
import { probe } from './probe.ts';
import { findByNonce, isOurs, isRunning, kill, killByNonce, signalGroup, startTimeOf, usersListeningOn } from './processes.ts';
import type { ReplicaLog } from './replica-log.ts';
import {
  afterFailure,
  becomeReady,
  failuresBy,
  becomeUnready,
  giveUp,
  isHeld,
  isWanted,
  startDraining,
  stateOf,
  type ReplicaProcess,
  type ReplicaRecord,
} from './replica-record.ts';
import { readOrNull, type RuntimePaths } from './runtime-folder.ts';
import type { Program } from './stage-program.ts';
import { startReplica, type Confinement } from './start-replica.ts';

/** Lower: a broken replica eats a core; higher: one crash is felt. */
const BACKOFF = { baseMs: 500, maxMs: 30_000 } as const;
/** As unguessable as a UUID, and never the same twice: whoever has one's nonce may be ended in its place. */
const NONCE_BYTES = 16;
/** Between probes until it is first ready. Lower: more CPU during starts; higher: slower starts. */
const STARTING_PROBE_MS = 50;
/** Failed probes in a row before a serving replica counts as unready. Lower: one slow answer takes it out; higher: errors last longer. */
const UNREADY_AFTER = 3;

export interface RunnerDeps {
  readonly paths: RuntimePaths;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly artifacts: ArtifactCache;
  readonly memory: MemoryLimit;
  readonly program: () => Promise<Program>;
  readonly confinement: Confinement;
  /** The user of a project; null where this process is not root. */
  readonly userOf: (projectId: Id) => Promise<number | null>;
  readonly logOf: (replicaId: Id) => ReplicaLog;
  /** Must be on disk when it returns. */
  readonly save: (record: ReplicaRecord) => void;
  readonly changed: () => void;
}

/** Drives one replica: start, probe, restart, drain. Every step is first written down, so that a successor can go on. */
export class ReplicaRunner {
  readonly #deps: RunnerDeps;
  #record: ReplicaRecord;
  #timer: NodeJS.Timeout | null = null;
  #busy = false;
  #stopped = false;
  #failedProbes = 0;
  /** From when to when nobody watched; a change found at the first look after it is estimated. */
  #gapFrom: Instant | null = null;
  #killedFor = '';
  /** Nonce of the process whose exit is told to us. */
  #child = '';
  #timedOut = false;

  constructor(record: ReplicaRecord, deps: RunnerDeps) {
    this.#record = record;
    this.#deps = deps;
  }

  get record(): ReplicaRecord {
    return this.#record;
  }

  /** Goes on where the record stands; `lastSeen` is when somebody last watched. */
  resume(lastSeen: Instant): void {
    if (!isHeld(this.#record)) return;
    const { process } = this.#record;
    if (process === null) {
      this.tick();
      return;
    }
    const pid = process.pid ?? findByNonce(process.nonce);
    const found = { ...process, pid, startedAt: process.pid === null && pid !== null ? startTimeOf(pid) : process.startedAt };
    this.#gapFrom = lastSeen;
    if (isOurs(found)) {
      this.#update({ ...this.#record, process: found });
      this.tick();
    } else this.#ended(found, 'it ended while no runtime watched');
  }

  /** The wish changed in what a running replica can take: the token and the place of the artifact for the next start. */
  respecify(spec: WorkloadSpec): void {
    this.#update({ ...this.#record, spec });
  }

  drain(): void {
    this.#update(startDraining(this.#record, this.#now()));
    this.#deps.changed();
    this.tick();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
  }

  /** Looks once; called each second and whenever something is due. */
  tick(): void {
    if (this.#busy || this.#stopped || !isHeld(this.#record)) return;
    this.#busy = true;
    void this.#step()
      .catch((error: unknown) =>
        this.#deps.logger.error({ err: error, replica: this.#record.replicaId }, 'a step of a replica failed'),
      )
      .finally(() => {
        this.#busy = false;
        this.#schedule();
      });
  }

  /** Faster than each second where somebody waits for it. */
  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer);
    if (this.#stopped || !isHeld(this.#record)) return;
    const due = nextLook(this.#record, this.#now());
    if (due !== null) this.#timer = setTimeout(() => this.tick(), Math.max(0, due - this.#now()));
  }

  async #step(): Promise<void> {
    const { process, startAt, drain } = this.#record;
    if (process !== null) await this.#watch(process);
    else if (drain) this.#giveUp(false);
    else if (startAt !== null && startAt <= this.#now()) await this.#start();
  }

  async #watch(process: ReplicaProcess): Promise<void> {
    this.#deps.logOf(this.#record.replicaId).watch(this.#now());
    if (!isRunning(process)) {
      // A child of our own tells by itself, and how; an adopted one is nobody's child here.
      if (this.#child !== process.nonce) this.#ended(process, 'its process ended');
      return;
    }
    if (this.#deps.memory.enforce(process, this.#record.spec.resources.memoryMib)) this.#killedFor = this.#overLimit();
    if (this.#record.drain) this.#drain(process);
    else await this.#look(process);
  }

  async #start(): Promise<void> {
    const nonce = Buffer.from(this.#deps.random.bytes(NONCE_BYTES)).toString('hex');
    try {
      const prepared = await this.#prepare();
      if (!isWanted(this.#record)) return;
      const process: ReplicaProcess = { nonce, pid: null, startedAt: '', spawnedAt: this.#now() };
      this.#update({ ...this.#record, startAt: null, process, attemptFrom: process.spawnedAt });
      await this.#spawn(process, prepared);
    } catch (error) {
      // It may run already, and nobody would know of it.
      killByNonce(nonce);
      this.#failed((error as Error).message);
    }
  }

  async #prepare() {
    const { spec } = this.#record;
    const { runtime } = spec;
    const source =
      runtime.format === 'onnx'
        ? { digest: runtime.artifactDigest, url: runtime.artifactUrl, token: runtime.artifactToken }
        : null;
    return {
      artifact: source === null ? null : await this.#deps.artifacts.fetch(source),
      uid: await this.#deps.userOf(spec.projectId),
      program: await this.#deps.program(),
    };
  }

  async #spawn(
    process: ReplicaProcess,
    prepared: { artifact: string | null; uid: number | null; program: Program },
  ): Promise<void> {
    const { replicaId, spec } = this.#record;
    const log = this.#deps.logOf(replicaId).open();
    try {
      const { confinement } = this.#deps;
      const started = await startReplica({
        ...prepared,
        replicaId,
        spec,
        nonce: process.nonce,
        home: this.#home(),
        confinement,
        log,
      });
      const pid = started.child.pid ?? null;
      const running = { ...process, pid, startedAt: pid === null ? '' : startTimeOf(pid) };
      this.#watchExit(started.child, running);
      this.#update({ ...this.#record, process: running, port: started.port });
      this.#limitMemory(running);
    } finally {
      log.close();
    }
  }

  /** One that cannot be limited does not run. */
  #limitMemory(process: ReplicaProcess): void {
    const { replicaId, spec } = this.#record;
    try {
      if (isRunning(process)) this.#deps.memory.place(replicaId, process, spec.resources.memoryMib);
    } catch (error) {
      signalGroup(process, 'SIGKILL');
      throw error;
    }
  }

  /** For people: how much, and how it is watched here. */
  #overLimit(): string {
    return `it used more memory than its limit of ${this.#record.spec.resources.memoryMib} MiB (${this.#deps.memory.kind})`;
  }

  #watchExit(child: ChildProcess, process: ReplicaProcess): void {
    this.#child = process.nonce;
    child.once('exit', (code, signal) =>
      this.#exited(process, signal ? `its process was ended by ${signal}` : `its process ended with status ${code ?? 0}`),
    );
  }

  /** What cannot be written down is told, and tried again when the replica is next looked at: a full disk must not end the runtime. */
  #exited(process: ReplicaProcess, how: string): void {
    try {
      this.#ended(process, how);
    } catch (error) {
      this.#deps.logger.error({ err: error, replica: this.#record.replicaId }, 'the end of a replica could not be written down');
      this.#deps.changed();
      this.#schedule();
    }
  }

  /** The end of a process is handled once, whoever notices it first. */
  #ended(process: ReplicaProcess, how: string): void {
    if (this.#stopped || this.#record.process?.nonce !== process.nonce) return;
    this.#killLeftovers(process);
    if (this.#record.drain) {
      this.#giveUp(this.#gapFrom !== null);
      return;
    }
    const why = this.#killedFor || (this.#deps.memory.wasExceeded(this.#record.replicaId) ? this.#overLimit() : how);
    this.#failed(`The replica stopped: ${why}.`);
    this.#schedule();
  }

  /** What it has started may have outlived it: in its group, under its limit, or with its nonce. */
  #killLeftovers(ended: ReplicaProcess): void {
    // After a gap the group may be somebody else's by now.
    const ownGroup = this.#gapFrom === null && ended.pid !== null && ended.pid > 1 && startTimeOf(ended.pid) === '';
    if (ownGroup) kill(-ended.pid);
    this.#deps.memory.clear(this.#record.replicaId);
    killByNonce(ended.nonce);
  }

  #failed(message: string): void {
    const now = this.#now();
    const at = this.#gapFrom ?? now;
    const startAt = now + backoffMs(failuresBy(this.#record, at) + 1, BACKOFF, this.#deps.random);
    this.#update(
      afterFailure(this.#record, { at, startAt, message, estimated: this.#gapFrom !== null, timedOut: this.#timedOut }),
    );
    this.#gapFrom = null;
    this.#killedFor = '';
    this.#timedOut = false;
    this.#failedProbes = 0;
    this.#deps.logger.warn({ replica: this.#record.replicaId, failures: this.#record.failures }, message);
    this.#deps.changed();
  }

  async #look(process: ReplicaProcess): Promise<void> {
    const port = this.#record.port ?? this.#toldPort();
    if (port !== null && port !== this.#record.port) this.#update({ ...this.#record, port });
    const failure = port === null ? 'it does not listen yet' : await this.#probe(port);
    if (this.#record.process?.nonce !== process.nonce || !isWanted(this.#record)) return;
    if (failure === null) this.#ready();
    else this.#notReady(process, failure);
    this.#gapFrom = null;
  }

  /** A process of another project that was quicker to take the port is not the replica, however well it answers. */
  async #probe(port: number): Promise<string | null> {
    const failure = await probe(port, this.#record.spec.healthPath);
    const uid =
      failure === null && stateOf(this.#record) !== 'serving' ? await this.#deps.userOf(this.#record.spec.projectId) : null;
    if (uid === null) return failure;
    return usersListeningOn(port).every((user) => user === uid) ? null : 'its port is held by a stranger';
  }

  #toldPort(): number | null {
    const text = readOrNull(join(this.#home(), 'port')) ?? '';
    return /^\d{1,5}$/.test(text) ? Number(text) : null;
  }

  #ready(): void {
    this.#failedProbes = 0;
    if (stateOf(this.#record) === 'serving') return;
    this.#update(becomeReady(this.#record, this.#now(), this.#gapFrom !== null));
    this.#deps.changed();
  }

  #notReady(process: ReplicaProcess, failure: string): void {
    this.#failedProbes += 1;
    const message = `The replica is not ready: ${failure}.`;
    if (stateOf(this.#record) === 'serving' && this.#failedProbes < UNREADY_AFTER) return;
    if (message !== this.#record.message) {
      this.#update(becomeUnready(this.#record, this.#now(), message, this.#gapFrom !== null));
      this.#deps.changed();
    }
    const sinceSpawn = this.#now() - Math.max(process.spawnedAt, lastServed(this.#record));
    if (sinceSpawn <= this.#record.spec.readinessTimeoutMs) return;
    this.#timedOut = true;
    this.#killedFor = `it was not ready within ${this.#record.spec.readinessTimeoutMs} ms (${failure})`;
    signalGroup(process, 'SIGKILL');
  }

  #drain(process: ReplicaProcess): void {
    const { drain } = this.#record;
    if (!drain) return;
    if (drain.terminated) {
      if (this.#now() >= drain.killAt) signalGroup(process, 'SIGKILL');
    } else if (this.#now() >= drain.termAt) {
      this.#update({ ...this.#record, drain: { ...drain, terminated: true } });
      signalGroup(process, 'SIGTERM');
    }
  }

  #giveUp(estimated: boolean): void {
    this.#update(giveUp(this.#record, estimated ? (this.#gapFrom ?? this.#now()) : this.#now(), estimated));
    this.#deps.memory.release(this.#record.replicaId);
    // Its copy of the model and all that it wrote; its log stays.
    rmSync(this.#home(), { recursive: true, force: true });
    this.#deps.changed();
  }

  #update(record: ReplicaRecord): void {
    if (record === this.#record) return;
    this.#record = record;
    this.#deps.save(record);
  }

  #now(): Instant {
    return this.#deps.clock.now();
  }

  #home(): string {
    return join(this.#deps.paths.homes, this.#record.replicaId);
  }
}

/** When the next look is due before the next second; null if the second will do. */
function nextLook(record: ReplicaRecord, now: Instant): Instant | null {
  if (record.process !== null && stateOf(record) === 'starting') return now + STARTING_PROBE_MS;
  if (record.startAt !== null) return record.startAt;
  return record.drain && !record.drain.terminated ? record.drain.termAt : null;
}

const lastServed = (record: ReplicaRecord): Instant => (stateOf(record) === 'unready' ? (record.transitions.at(-1)?.at ?? 0) : 0);
