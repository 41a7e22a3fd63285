import type { CapacityType } from '../clouds/offering.ts';
import type { Condition } from '../kernel/condition.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { NodeNotice, NodeReadiness, NodeResources } from './cluster-inventory.port.ts';

/** A node of a cluster, as it was last observed to differ from before. */
export interface ClusterNode {
  /** The uid of the node object: one that comes back under the same name is another node. */
  readonly id: Id;
  readonly clusterId: Id;
  /** The pool whose labels it carries; null = of none that is registered. */
  readonly poolId: Id | null;
  readonly name: string;
  readonly provider: string | null;
  readonly instanceId: string | null;
  readonly region: string | null;
  readonly zone: string | null;
  readonly instanceType: string | null;
  readonly capacityType: CapacityType;
  /** What the price book sells it as; null = nothing that it knows. */
  readonly offeringId: Id | null;
  /** By its annotation; wins over the price book. */
  readonly pricePerHour: PicoUsdPerHour | null;
  /** Why its annotation is no price, with what to do; then nothing prices it. Null = nothing stands against it. */
  readonly priceProblem: string | null;
  readonly capacity: NodeResources;
  readonly allocatable: NodeResources;
  readonly from: Instant;
  /** When it was gone from its cluster; null while it is there. */
  readonly until: Instant | null;
  /** True where nobody watched it go. */
  readonly untilEstimated: boolean;
  readonly readiness: NodeReadiness;
  readonly readinessSince: Instant;
  readonly schedulable: boolean;
  readonly notice: NodeNotice | null;
  readonly releasing: boolean;
  /** Of a node with a notice: this installation's pods on it, by workload. */
  readonly noticedReplicas: Readonly<Record<Id, number>>;
  /** Since when no pod but daemons is on it; null = there is one. */
  readonly idleSince: Instant | null;
  /** Pods on it, daemons left out. */
  readonly pods: number;
  /** When this row was last seen to differ. */
  readonly observedAt: Instant;
  readonly version: number;
}

/** The provider of pools whose machines Karpenter rents by itself: they are told to it, and never scaled from here. */
export const KARPENTER = 'karpenter';

/** How a pool grows and shrinks. */
export interface PoolScaling {
  readonly poolId: Id;
  /** Which of the configured providers rents its machines. */
  readonly provider: string;
  /** The provider's own settings of this pool; never a secret. */
  readonly config: Readonly<Record<string, string>>;
  readonly minNodes: number;
  readonly maxNodes: number;
  /** What the provider was last asked for; null = nothing yet. */
  readonly desiredNodes: number | null;
  /** When it was last asked for another number. */
  readonly scaledAt: Instant | null;
  readonly conditions: readonly Condition[];
  /** Uid of the node that is being emptied because others have room; null = none. */
  readonly emptying: Id | null;
  /** When one was last begun to be emptied. */
  readonly emptiedAt: Instant | null;
  /** Its provider knows it by this instead of the installation's id; absent or null = by the id. */
  readonly keyPrefix?: string | null;
  readonly version: number;
}

/** True if these labels satisfy the selector; an empty selector takes any. */
export const carries = (labels: Readonly<Record<string, string>>, selector: Readonly<Record<string, string>>): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);
