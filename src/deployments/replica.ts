import type { CapacityType } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { ReplicaState } from './cluster.port.ts';

/** A revision on one pool of one cluster with a replica count, as wished. */
export interface Workload {
  readonly id: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly deploymentId: Id;
  readonly revisionId: Id;
  readonly clusterId: Id;
  readonly clusterName: string;
  readonly poolId: Id;
  readonly poolName: string;
  readonly capacityType: CapacityType;
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** What a replica of it is priced by. */
  readonly offeringId: Id;
  /** Replicas that share one machine of its pool; absent = each has its own. */
  readonly perMachine?: number;
  readonly replicas: number;
  readonly generation: number;
  readonly createdAt: Instant;
  /** When it was given up: out of the route table at once, drained soon after. */
  readonly removedAt: Instant | null;
  /** When its last replica was gone. */
  readonly goneAt: Instant | null;
  /** The generation that its cluster was last seen to know; null = it did not know the workload. */
  readonly seenGeneration: number | null;
  /** What kept its replicas from being made, placed or kept ready when its cluster was last seen; null = nothing. */
  readonly seenProblem: SeenProblem | null;
}

export interface SeenProblem {
  readonly message: string;
  /** True if waiting does not help. */
  readonly failing: boolean;
}

/** One running instance of a revision, as last observed. */
export interface Replica {
  readonly id: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly deploymentId: Id;
  readonly revisionId: Id;
  readonly workloadId: Id;
  readonly clusterId: Id;
  readonly offeringId: Id;
  readonly state: ReplicaState;
  readonly address: string | null;
  readonly capacityFrom: Instant;
  /** When its slot was given up; null while it is held. */
  readonly capacityUntil: Instant | null;
  readonly untilEstimated: boolean;
  readonly observedAt: Instant;
  readonly lastEvidenceAt: Instant;
  readonly restarts: number;
  readonly message: string;
  /** How many states it has been in, and since when it is in the present one. */
  readonly transitions: number;
  readonly stateSince: Instant;
}

/** True while the replica holds its slot, whatever its state. */
export const isHeld = (replica: Pick<Replica, 'capacityUntil'>): boolean => replica.capacityUntil === null;
