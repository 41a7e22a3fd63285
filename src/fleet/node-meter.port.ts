import type { CapacityType } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';

/** Amounts of what nodes have and pods ask for: thousandths of a CPU, bytes, whole devices. Integers. */
export interface NodeQuantities {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly gpus: number;
}

/** A node that is there, as its cluster tells of it. */
export interface SeenNode {
  /** Its uid: a node that comes back under the same name is another one. */
  readonly nodeId: Id;
  readonly name: string;
  /** Since when it is paid for: its creation, but not before the cluster was registered. Of the first report that names it; later ones change nothing. */
  readonly from: Instant;
  /** The whole machine (`status.capacity`), not what is left for pods. */
  readonly capacity: NodeQuantities;
  /** What it is priced by; null where the labels do not say. */
  readonly provider: string | null;
  readonly region: string | null;
  readonly zone: string | null;
  readonly instanceType: string | null;
  readonly capacityType: CapacityType;
  readonly architecture: string;
  /** The annotation `purser.dev/price-per-hour` as written, USD; wins over the labels. Null = none. */
  readonly annotatedPrice: string | null;
}

/** A pod that is scheduled and whose containers have not ended: it holds its requests on the node. */
export interface SeenPod {
  /** Its uid, which is the replica's id if it is one of ours. */
  readonly podId: Id;
  readonly nodeId: Id;
  readonly namespace: string;
  readonly name: string;
  /** When it was scheduled. */
  readonly from: Instant;
  /** Sums over its containers, as the scheduler counts them. */
  readonly requests: NodeQuantities;
}

/** All nodes and pods of a cluster at one moment. */
export interface NodeInventory {
  readonly clusterId: Id;
  readonly observedAt: Instant;
  readonly nodes: readonly SeenNode[];
  readonly pods: readonly SeenPod[];
  /** Ends that were watched, of nodes and of pods, by uid. What is missing above and is not here ended by estimate. */
  readonly ended: readonly { readonly id: Id; readonly at: Instant }[];
}

/** What a node's kubelet said of its pods: one answer of `stats/summary`. */
export interface NodeSamples {
  readonly nodeId: Id;
  /** When it was asked. */
  readonly at: Instant;
  readonly pods: readonly {
    readonly podId: Id;
    /** When the figures were taken. */
    readonly at: Instant;
    /** The counter as it stands: µs of CPU since the pod began. Null = not told. */
    readonly cpuUs: number | null;
    /** Working set. Null = not told. */
    readonly memoryBytes: number | null;
  }[];
}

/** Who shares out what nodes cost. The caller's transaction carries the fence of the cluster's loop. */
export interface NodeMeter {
  /**
   * The whole truth about a cluster's nodes and pods; never a partial list. Writes the differences only, so that the same again writes
   * nothing and a report that was lost is made good by the next.
   */
  observed(tx: Transaction, inventory: NodeInventory): Promise<void>;
  /** Adds usage. Figures not newer than what is known of a pod are ignored, so a repeat changes nothing; a gap is averaged over. */
  sampled(tx: Transaction, samples: readonly NodeSamples[]): Promise<void>;
}
