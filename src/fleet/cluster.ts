import type { CapacityType } from '../clouds/offering.ts';
import type { Condition } from '../kernel/condition.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';

export type ClusterKind = 'local' | 'kubernetes' | 'simulated';

/** A place that runs workloads, as registered. */
export interface Cluster {
  readonly id: Id;
  readonly name: string;
  readonly kind: ClusterKind;
  /** Local only: the one machine that may reconcile it. */
  readonly machineId: string | null;
  /** Nothing new is placed there; what runs, runs on. */
  readonly cordoned: boolean;
  readonly version: number;
  readonly createdAt: Instant;
  readonly removedAt: Instant | null;
  /** When it was last seen; null = never. */
  readonly observedAt: Instant | null;
  readonly conditions: readonly Condition[];
}

/** A kind of capacity inside a cluster. */
export interface Pool {
  readonly id: Id;
  readonly clusterId: Id;
  readonly name: string;
  readonly capacityType: CapacityType;
  /** What a node of it costs; null = the local machine, priced by the cheapest matching offering. */
  readonly offeringId: Id | null;
  /** Kubernetes: labels that its nodes carry; empty = any node. */
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly version: number;
  readonly createdAt: Instant;
}

export const LOCAL_CLUSTER = 'local';
export const DEFAULT_POOL = 'default';
