// Where a running cluster keeps its files, and how the next one takes away what a crashed one left.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { inTurn } from './cache.ts';
import { removeNetwork } from './network.ts';
import { removeCgroups } from './cgroups.ts';
import { endProcess, identityOf, isAlive, type ProcessIdentity } from './processes.ts';

/** Clusters with nodes on one machine at once; each has names and address ranges of its own. Memory ends sooner than the slots. */
const SLOTS = 8;

export interface RunFolder {
  readonly path: string;
  /** Unique among those that run; null for a bare API server, which needs none. */
  readonly slot: number | null;
  /** Remembers a process, so that it can be ended when this one has crashed. */
  record(name: string, identity: ProcessIdentity): void;
  remove(): Promise<void>;
}

/** Short, because unix sockets below it have at most 107 characters in their paths. */
const base = (): string => {
  const folder = join(tmpdir(), `purser-kubernetes-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o711 });
  return folder;
};

/** Takes a slot that nobody uses, after taking away what its last user left. */
export async function takeSlot(): Promise<RunFolder> {
  return guarded(async () => {
    await sweep();
    const taken = new Set(readdirSync(base()));
    const slot = Array.from({ length: SLOTS }, (_, index) => index).find((index) => !taken.has(`slot-${index}`));
    if (slot === undefined) throw new Error(`${SLOTS} test clusters run on this machine already`);
    const path = join(base(), `slot-${slot}`);
    mkdirSync(path);
    return claimed(path, slot);
  });
}

export async function takeBareFolder(): Promise<RunFolder> {
  return guarded(async () => {
    await sweep();
    return claimed(mkdtempSync(join(base(), 'bare-')), null);
  });
}

const guarded = <T>(body: () => Promise<T>) => inTurn(join(base(), '.lock'), '', body);

function claimed(path: string, slot: number | null): RunFolder {
  const pids = join(path, 'pids');
  mkdirSync(pids);
  writeFileSync(join(path, 'owner.json'), JSON.stringify(identityOf(process.pid)));
  return {
    path,
    slot,
    record: (name, identity) => writeFileSync(join(pids, `${name}.json`), JSON.stringify(identity)),
    remove: () => clear(path, slot),
  };
}

/** Ends what lives of runs whose owner has ended, and removes their networks, cgroups and files. */
async function sweep(): Promise<void> {
  for (const name of readdirSync(base())) {
    const path = join(base(), name);
    const slot = /^slot-(\d+)$/.exec(name)?.[1];
    if (slot === undefined && !name.startsWith('bare-')) continue;
    const owner = identityIn(join(path, 'owner.json'));
    if (owner === null || !isAlive(owner)) await clear(path, slot === undefined ? null : Number(slot));
  }
}

async function clear(path: string, slot: number | null): Promise<void> {
  for (const file of filesIn(join(path, 'pids'))) {
    const identity = identityIn(file);
    if (identity !== null) await endProcess(identity, 0);
  }
  if (slot !== null) {
    await removeCgroups(slot);
    await removeNetwork(slot);
  }
  rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function identityIn(path: string): ProcessIdentity | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return null;
  }
}
