import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Id } from '../kernel/id.ts';
import { kill, residentMib, signalGroup } from './processes.ts';
import type { ReplicaProcess } from './replica-record.ts';
import { readOrNull } from './runtime-folder.ts';

/** How replicas' memory is limited on this machine; the runtime says which. */
export type MemoryLimitKind = 'cgroup-v2' | 'cgroup-v1' | 'rss-polled';

export interface MemoryLimit {
  readonly kind: MemoryLimitKind;
  /** Puts a fresh process under its limit. */
  place(replicaId: Id, process: ReplicaProcess, limitMib: number): void;
  /** Kills what is over its limit where the kernel does not; true if it did. Called each second. */
  enforce(process: ReplicaProcess, limitMib: number): boolean;
  /** Kills whatever is still under the replica's limit, daemons that it left behind included, where the kernel knows them. */
  clear(replicaId: Id): void;
  /** True if the kernel killed the replica for its memory since it was placed. */
  wasExceeded(replicaId: Id): boolean;
  release(replicaId: Id): void;
}

const MIB = 1024 * 1024;

interface Files {
  readonly kind: MemoryLimitKind;
  readonly root: string;
  readonly limit: string;
  readonly events: string;
}

const V1: Files = {
  kind: 'cgroup-v1',
  root: '/sys/fs/cgroup/memory/purser',
  limit: 'memory.limit_in_bytes',
  events: 'memory.oom_control',
};
const V2: Files = { kind: 'cgroup-v2', root: '/sys/fs/cgroup/purser', limit: 'memory.max', events: 'memory.events' };

/** A control group where this process may make one with a limit, else polling. */
export function memoryLimit(): MemoryLimit {
  for (const files of [V2, V1]) {
    if (isWritable(files)) return new CgroupLimit(files);
  }
  return new PolledLimit();
}

function isWritable(files: Files): boolean {
  const probe = join(files.root, `probe-${process.pid}`);
  try {
    if (files.kind === 'cgroup-v2' && !existsSync('/sys/fs/cgroup/cgroup.controllers')) return false;
    mkdirSync(probe, { recursive: true });
    if (files.kind === 'cgroup-v2') writeFileSync(join(files.root, 'cgroup.subtree_control'), '+memory');
    const writable = existsSync(join(probe, files.limit));
    rmdirSync(probe);
    return writable;
  } catch {
    return false;
  }
}

class CgroupLimit implements MemoryLimit {
  readonly kind: MemoryLimitKind;
  readonly #files: Files;
  /** Kills by the kernel that were already told. */
  readonly #told = new Map<Id, number>();

  constructor(files: Files) {
    this.kind = files.kind;
    this.#files = files;
  }

  place(replicaId: Id, process: ReplicaProcess, limitMib: number): void {
    const folder = join(this.#files.root, replicaId);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, this.#files.limit), String(limitMib * MIB));
    writeFileSync(join(folder, 'cgroup.procs'), String(process.pid));
  }

  enforce(): boolean {
    return false;
  }

  clear(replicaId: Id): void {
    const pids = readOrNull(join(this.#files.root, replicaId, 'cgroup.procs')) ?? '';
    pids.split('\n').filter(Boolean).map(Number).forEach(kill);
  }

  wasExceeded(replicaId: Id): boolean {
    const kills = this.#kills(replicaId);
    const told = this.#told.get(replicaId) ?? 0;
    this.#told.set(replicaId, kills);
    return kills > told;
  }

  #kills(replicaId: Id): number {
    try {
      const text = readFileSync(join(this.#files.root, replicaId, this.#files.events), 'utf8');
      return Number(/^oom_kill (\d+)/m.exec(text)?.[1] ?? 0);
    } catch {
      return 0;
    }
  }

  release(replicaId: Id): void {
    this.#told.delete(replicaId);
    try {
      rmdirSync(join(this.#files.root, replicaId));
    } catch {
      // A process of the group may still be ending; an empty group costs nothing and goes at the next boot.
    }
  }
}

class PolledLimit implements MemoryLimit {
  readonly kind = 'rss-polled';

  place(): void {
    // Nothing to prepare: `enforce` looks each second.
  }

  enforce(process: ReplicaProcess, limitMib: number): boolean {
    if (process.pid === null || residentMib(process.pid) <= limitMib) return false;
    signalGroup(process, 'SIGKILL');
    return true;
  }

  clear(): void {
    // The kernel does not keep them together here.
  }

  wasExceeded(): boolean {
    return false;
  }

  release(): void {
    // Nothing was prepared.
  }
}
