import { record } from '../events/event-log.ts';
import { clusterReachable, clusterSilent, clusterUnreachable, removalsHeld } from '../fleet/cluster.events.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import { isRemovalHeld, isSilent, isUnreachable, REACHABLE, REMOVALS_HELD, type Cluster } from '../fleet/cluster.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Cause, EventDraft } from '../kernel/event.ts';
import type { Transaction } from '../kernel/transaction.ts';

export interface ClusterStatusDeps {
  readonly clusterStore: Pick<ClusterStore, 'lockCluster' | 'updateStatus'>;
  readonly clock: Clock;
}

const PRINCIPAL = 'reconciler:deployments';

/** Writes what a loop saw of its cluster, once per change, with its events. */
export class ClusterStatusWriter {
  readonly #deps: ClusterStatusDeps;

  constructor(deps: ClusterStatusDeps) {
    this.#deps = deps;
  }

  /** Nothing if the row changed meanwhile: the next pass sees the new one. */
  async write(tx: Transaction, before: Cluster, after: Cluster | null): Promise<void> {
    const { clusterStore, clock } = this.#deps;
    const locked = await clusterStore.lockCluster(tx, before.id);
    if (!after || locked?.rowVersion !== before.rowVersion) return;
    await clusterStore.updateStatus(tx, after);
    record(tx, ...eventsOf(before, after, { at: clock.now(), principal: PRINCIPAL }));
  }

  /** A rebuild that was asked for since `before` is another one. */
  async writeRebuilt(tx: Transaction, { id, rebuilds }: Cluster): Promise<void> {
    const { clusterStore } = this.#deps;
    const locked = await clusterStore.lockCluster(tx, id);
    if (locked) await clusterStore.updateStatus(tx, { ...locked, rebuilt: rebuilds, rowVersion: locked.rowVersion + 1 });
  }
}

function eventsOf(before: Cluster, after: Cluster, cause: Cause): EventDraft[] {
  const change = { before, after, ...cause };
  const gone = !isUnreachable(before) && isUnreachable(after) ? [clusterUnreachable(change, sentenceOf(after, REACHABLE))] : [];
  const silent = !isSilent(before) && isSilent(after) ? [clusterSilent(change, sentenceOf(after, REACHABLE))] : [];
  const back = isUnreachable(before) && !isUnreachable(after) ? [clusterReachable(change)] : [];
  const held = isNewlyHeld(before, after) ? [removalsHeld(change, sentenceOf(after, REMOVALS_HELD))] : [];
  return [...gone, ...silent, ...back, ...held];
}

const isNewlyHeld = (before: Cluster, after: Cluster): boolean =>
  isRemovalHeld(after) && (!isRemovalHeld(before) || after.heldRemovals?.digest !== before.heldRemovals?.digest);

function sentenceOf({ conditions }: Cluster, type: string): string {
  const text = conditions.find((condition) => condition.type === type)?.message ?? '';
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
