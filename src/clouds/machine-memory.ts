import { HOUR_MS, MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { CloudNode } from './cloud-provider.port.ts';
import type { ListedMachine } from './plan-scale.ts';

/** Machines that are gone are told for this long. */
const REMEMBERED_MS = HOUR_MS + HOUR_MS / 2;

/** A machine that nobody gave back must be missing for so long. Higher: one that went is told late; lower: lists that lag are believed. */
const MISSING_MS = 2 * MINUTE_MS;

interface Known {
  readonly node: CloudNode;
  /** Since when lists leave it out without a word; null = they do not. */
  readonly missingSince: Instant | null;
  /** Somebody gave it back: when it is not listed any more, it is gone. */
  readonly isLeaving: boolean;
}

/**
 * What providers that forget a machine at once do not tell: that it is gone, and since when. Kept by this process only: of machines that it
 * never saw it tells nothing. A machine that nobody gave back and that is not listed is taken to be stopping; after a while, to be gone.
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
      const node = nodeOf(machine, last?.node, now);
      known.set(machine.instanceId, { node, missingSince: null, isLeaving: last?.isLeaving ?? false });
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
function missing(known: Known, now: Instant): Known | null {
  const { node, isLeaving } = known;
  if (node.phase === 'gone') return now - node.since <= REMEMBERED_MS ? known : null;
  const missingSince = known.missingSince ?? now;
  // Its provider said that it goes, or somebody told the provider.
  const isExpected = isLeaving || (node.phase === 'stopping' && known.missingSince === null);
  if (isExpected || now - missingSince >= MISSING_MS) return { ...known, node: { ...node, phase: 'gone', since: now } };
  return { ...known, missingSince, node: { ...node, phase: 'stopping', since: missingSince } };
}
