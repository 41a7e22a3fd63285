import { HOUR_MS, type Instant } from '../kernel/instant.ts';
import type { CloudNode } from './cloud-provider.port.ts';
import type { ListedMachine } from './plan-scale.ts';

/** Machines that are gone are told for this long. */
const REMEMBERED_MS = HOUR_MS + HOUR_MS / 2;

interface Known {
  readonly node: CloudNode;
  /** Somebody gave it back: when it is not listed any more, it is gone. */
  readonly isLeaving: boolean;
}

/**
 * What providers that forget a machine at once do not tell: that it is gone, and since when. Kept by this process only: of machines that it
 * never saw it tells nothing. A machine that nobody gave back and that is not listed once is taken to be stopping; twice, to be gone.
 */
export class MachineMemory {
  readonly #pools = new Map<string, Map<string, Known>>();

  /** Machines that were given back. */
  leaving(key: string, instanceIds: readonly string[]): void {
    const known = this.#pools.get(key);
    for (const id of instanceIds) {
      const one = known?.get(id);
      if (one) known?.set(id, { ...one, isLeaving: true });
    }
  }

  forget(key: string): void {
    this.#pools.delete(key);
  }

  /** What is listed, and what was listed and is gone; by instance id. */
  complete(key: string, listed: readonly ListedMachine[], now: Instant): CloudNode[] {
    const before = this.#pools.get(key) ?? new Map<string, Known>();
    const known = new Map<string, Known>();
    for (const machine of listed) {
      const last = before.get(machine.instanceId);
      known.set(machine.instanceId, { node: nodeOf(machine, last?.node, now), isLeaving: last?.isLeaving ?? false });
    }
    for (const [id, one] of before) {
      const missed = known.has(id) ? null : missing(one, now);
      if (missed) known.set(id, missed);
    }
    this.#pools.set(key, known);
    return [...known.values()].map(({ node }) => node).sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1));
  }
}

function nodeOf(
  { instanceId, nodeName, phase, since, isBroken }: ListedMachine,
  last: CloudNode | undefined,
  now: Instant,
): CloudNode {
  // A broken machine is on its way out, whatever its provider still tries.
  const shown = isBroken && phase !== 'gone' ? 'stopping' : phase;
  return { instanceId, nodeName, phase: shown, since: last?.phase === shown ? last.since : (since ?? now) };
}

/** Null = long enough ago. */
function missing({ node, isLeaving }: Known, now: Instant): Known | null {
  if (node.phase === 'gone') return now - node.since <= REMEMBERED_MS ? { node, isLeaving } : null;
  const phase = isLeaving || node.phase === 'stopping' ? 'gone' : 'stopping';
  return { node: { ...node, phase, since: now }, isLeaving };
}
