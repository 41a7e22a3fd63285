import type { CapacityType } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Accelerator } from '../kernel/resources.ts';

/** What a node has, or what a pod asks for. */
export interface NodeResources {
  readonly cpuMilli: number;
  readonly memoryMib: number;
  readonly accelerator: Accelerator | null;
}

/** Whether the kubelet answers. `unknown` is never `gone`: a node that nobody hears of may run on and is paid for. */
export type NodeReadiness = 'ready' | 'not_ready' | 'unknown';

/** Somebody said that this node will be taken away. */
export interface NodeNotice {
  /** The taint or condition that says so. */
  readonly source: string;
  readonly message: string;
  /** When it was said; where the cluster does not tell, null. */
  readonly at: Instant | null;
}

/** A pod that is bound to a node and has not ended. */
export interface NodePod {
  readonly uid: Id;
  readonly namespace: string;
  readonly name: string;
  /** Null = not of this installation. */
  readonly workloadId: Id | null;
  /** For foreign pods: `<kind>/<name>` of what owns it, else `Pod/<name>`. */
  readonly owner: string;
  /** One per node, of a DaemonSet or of the node itself: never a reason to keep a node. */
  readonly daemon: boolean;
  readonly requests: NodeResources;
  /** When it was bound to the node. */
  readonly from: Instant;
  /** Asked to end; null = not. */
  readonly endingSince: Instant | null;
  /** True while it can be sent requests. */
  readonly ready: boolean;
  /** True if something makes another one when this one ends. */
  readonly replaced: boolean;
}

export interface ObservedNode {
  /** Of the node object: a node that comes back under the same name is another one. */
  readonly uid: Id;
  readonly name: string;
  readonly from: Instant;
  /** Of the machine, and what of it pods may have. */
  readonly capacity: NodeResources;
  readonly allocatable: NodeResources;
  /** `aws`, `gcp`, …; null where neither the node's provider id nor a label says. */
  readonly provider: string | null;
  /** The provider's own name of the machine, as in `spec.providerID`; null without. */
  readonly instanceId: string | null;
  readonly region: string | null;
  readonly zone: string | null;
  readonly instanceType: string | null;
  /** Null where no label says; then it is `on_demand`. */
  readonly capacityType: CapacityType | null;
  /** From the node's annotation; wins over the price book. */
  readonly pricePerHour: PicoUsdPerHour | null;
  /** Why what its annotation says is no price, and what to write instead; null = nothing stands against it. What it costs is unknown then. */
  readonly priceProblem: string | null;
  /** Of the label `purser.dev/pool`. */
  readonly pool: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly readiness: NodeReadiness;
  /** Since when. */
  readonly readinessSince: Instant;
  /** Its last sign of life. */
  readonly seenAt: Instant;
  /** False = cordoned: it takes no new pods. */
  readonly schedulable: boolean;
  readonly notice: NodeNotice | null;
  /** Marked by this installation as idle and about to be given back. */
  readonly releasing: boolean;
  /** By uid. */
  readonly pods: readonly NodePod[];
}

/** A pod of this installation that no node has taken. */
export interface WaitingPod {
  readonly uid: Id;
  readonly workloadId: Id;
  readonly requests: NodeResources;
  /** The pool that it is meant for; null = it does not say. */
  readonly pool: string | null;
  /** Labels that a node must carry to take it. */
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly since: Instant;
  /** The scheduler's own words; empty while it has not looked yet. */
  readonly message: string;
}

export interface InventoryObservation {
  readonly observedAt: Instant;
  /** By name. */
  readonly nodes: readonly ObservedNode[];
  /** Oldest first. */
  readonly waiting: readonly WaitingPod[];
}

/** A reading of a pod's counters by its kubelet. */
export interface PodUsage {
  readonly uid: Id;
  /** When it was read, by the node's clock. */
  readonly at: Instant;
  /** CPU used since the pod's containers started, in µs; falls back when one of them restarts. Null = not told. */
  readonly cpuUs: number | null;
  /** Working set; null = not told. */
  readonly memoryMib: number | null;
}

/** What one kubelet told of its pods; a node whose kubelet did not answer is not in the list: use there is unknown, and counts as the request. */
export interface NodeUsage {
  readonly nodeUid: Id;
  readonly nodeName: string;
  readonly pods: readonly PodUsage[];
}

/** Thrown by every method when the cluster cannot be reached: what it has is then *unknown*. */
export class InventoryUnreachable extends Error {
  override readonly name = 'InventoryUnreachable';
}

/** Thrown when another leader has acted since: nothing was done. */
export class StaleNodeFence extends Error {
  override readonly name = 'StaleNodeFence';
}

/** The nodes of one cluster. */
export interface ClusterInventory {
  /** Everything at one moment; safe to repeat, never partial. */
  observeNodes(): Promise<InventoryObservation>;

  /** Reads the counters of these nodes, a bounded number at a time. Kubelets that do not answer are left out. Safe to repeat. */
  usage(nodes: readonly Pick<ObservedNode, 'uid' | 'name'>[]): Promise<readonly NodeUsage[]>;

  /** Resolves when nodes or their pods changed since the last `observeNodes`, or when the signal aborts. Spurious wake-ups are allowed. */
  changed(signal: AbortSignal): Promise<void>;
}

/** Proof of leadership; a cluster refuses a lower epoch than it has seen. */
export interface NodeFence {
  readonly epoch: number;
}

/** What may be done to nodes and to this installation's own pods; foreign pods are never touched. */
export interface NodeActions {
  /** Takes no new pods, and says that it is on its way out. Idempotent; a node that is gone is fine. */
  cordon(node: Pick<ObservedNode, 'uid' | 'name'>, fence: NodeFence): Promise<void>;

  /** Takes pods again. Only undoes what `cordon` did; idempotent. */
  uncordon(node: Pick<ObservedNode, 'uid' | 'name'>, fence: NodeFence): Promise<void>;

  /** Writes a provider's notice on the node, and that it takes no new pods. Idempotent. */
  announce(node: Pick<ObservedNode, 'uid' | 'name'>, message: string, fence: NodeFence): Promise<void>;

  /** Ends a pod of this installation in its own time, whatever budgets say. Idempotent. */
  retire(pod: Pick<NodePod, 'uid' | 'namespace' | 'name'>, fence: NodeFence): Promise<void>;

  /**
   * Takes a pod of this installation out of its replica set, so that another one is made at once while it still answers. Idempotent.
   */
  release(pod: Pick<NodePod, 'uid' | 'namespace' | 'name'>, fence: NodeFence): Promise<void>;

  /** Forgets a node whose machine is known to be gone, so that the end of its pods is known. Idempotent. */
  forget(node: Pick<ObservedNode, 'uid' | 'name'>, fence: NodeFence): Promise<void>;
}
