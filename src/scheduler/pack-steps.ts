import { invariant } from '../kernel/invariant.ts';
import type { PackedCluster, PodKind } from './pack-cluster.ts';
import type { PackPolicy } from './pack-pods.ts';

/**
 * A pod goes elsewhere, or one that has no seat gets one (`from` is null), or one stops until a later step seats it (`to` is null: pods that change
 * places do not fit beside each other). Done in order, no node is ever over its capacity.
 */
export interface PackStep {
  readonly pod: string;
  readonly from: string | null;
  readonly to: string | null;
}

/** Changes the cluster and keeps what was done. */
export class StepLog {
  readonly steps: PackStep[] = [];
  /** Who was moved. */
  readonly moved = new Set<string>();
  readonly #cluster: PackedCluster;
  readonly #policy: PackPolicy;
  readonly #changed: (node: string) => void;

  constructor(cluster: PackedCluster, policy: PackPolicy, changed: (node: string) => void) {
    [this.#cluster, this.#policy, this.#changed] = [cluster, policy, changed];
  }

  /** Seats a pod, from wherever it was; without devices the policy chooses them. */
  seat(pod: string, kind: PodKind, to: string, devices?: readonly number[]): void {
    const from = this.#leave(pod);
    if (devices) this.#cluster.takeDevices(pod, kind, to, devices);
    else {
      const place = this.#policy.choose(kind, [this.#cluster.nodeNamed(to).rooms]);
      invariant(place !== null, `${pod} does not fit on ${to}`);
      this.#cluster.take(pod, kind, place, to);
    }
    this.#changed(to);
    this.steps.push({ pod, from, to });
  }

  stop(pod: string): void {
    const from = this.#leave(pod);
    this.steps.push({ pod, from, to: null });
  }

  #leave(pod: string): string | null {
    if (!this.#cluster.seats.has(pod)) return null;
    const { node } = this.#cluster.give(pod);
    this.moved.add(pod);
    this.#changed(node);
    return node;
  }
}
