import type { CapacityType } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Resources } from '../kernel/resources.ts';
import type { Protocol } from '../registry/model-version.ts';

/** Proof of leadership that travels with every effect. A cluster remembers the highest epoch it has seen per installation. */
export interface Fence {
  /** Rises with every change of leader of this cluster's loop. */
  readonly epoch: number;
}

/** How a replica is started. */
export type ReplicaRuntime =
  | {
      readonly format: 'onnx';
      readonly artifactDigest: string;
      /** Where the cluster fetches the artifact, with `artifactToken` as bearer; only needed when it is not in the cluster's cache. */
      readonly artifactUrl: string;
      readonly artifactToken: string;
    }
  | { readonly format: 'process'; readonly command: readonly string[]; readonly environment: Readonly<Record<string, string>> }
  | { readonly format: 'container'; readonly image: string; readonly environment: Readonly<Record<string, string>> };

/** A KubernetesDeployment that somebody else made. */
export interface AdoptedObject {
  readonly namespace: string;
  readonly name: string;
}

/** A revision on one pool of one cluster with a replica count: everything a cluster needs to run it, and nothing else. */
export interface WorkloadSpec {
  readonly workloadId: Id;
  /** Rises with every change of this spec; a cluster refuses to go back. */
  readonly generation: number;
  readonly deploymentId: Id;
  readonly revisionId: Id;
  readonly teamId: Id;
  /** Replicas of one project share a uid; two projects never do. */
  readonly projectId: Id;
  /** DNS labels. */
  readonly teamName: string;
  readonly projectName: string;
  /** For people and logs: `team/project/deployment`, and the name that inference protocols use. */
  readonly path: string;
  readonly modelName: string;
  readonly modelVersion: string;
  readonly revisionNumber: number;
  readonly poolName: string;
  readonly capacityType: CapacityType;
  /** Labels that a node must carry to run replicas of this pool; empty = any node. */
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly replicas: number;
  /** Replicas that the whole team may hold; null = no quota. */
  readonly teamReplicaLimit: number | null;
  readonly resources: Resources;
  readonly runtime: ReplicaRuntime;
  /** What runs already and is taken over as it is, without restart; null = the cluster makes its own. */
  readonly adopt: AdoptedObject | null;
  readonly protocol: Protocol;
  /** The port that a container exposes. A process is told its own by `PORT`, so that replicas on one machine never clash; ignored for `onnx`. */
  readonly port: number | null;
  /** HTTP path that answers 2xx once a replica may be sent requests. */
  readonly healthPath: string;
  /** A replica that is not ready by then has failed; it is restarted with back-off. */
  readonly readinessTimeoutMs: number;
  /** True: where nodes are short, others go first. Absent = false. */
  readonly yields?: true;
  /** How long a draining replica may finish what it has. */
  readonly drainTimeoutMs: number;
  /** Requests that one replica handles at a time. */
  readonly concurrency: number;
}

/** The billable states of `docs/ledger`: every millisecond of a replica's life is in exactly one. */
export const REPLICA_STATES = ['starting', 'serving', 'unready', 'draining'] as const;

export type ReplicaState = (typeof REPLICA_STATES)[number];

export interface ReplicaTransition {
  readonly at: Instant;
  readonly state: ReplicaState;
  /** True where nobody watched and the time is the best evidence. */
  readonly estimated: boolean;
}

export interface ObservedReplica {
  /** Given by the cluster when the slot is made; never reused. */
  readonly replicaId: Id;
  readonly workloadId: Id;
  readonly revisionId: Id;
  readonly state: ReplicaState;
  /** `host:port` that a router can reach; null until it listens. */
  readonly address: string | null;
  /** First spawn, by the cluster's clock. */
  readonly capacityFrom: Instant;
  /** When the slot was given up; null while it is held. A given-up replica stays in observations for at least an hour. */
  readonly capacityUntil: Instant | null;
  readonly untilEstimated: boolean;
  /** The whole history, oldest first; each at or after the one before. */
  readonly transitions: readonly ReplicaTransition[];
  readonly restarts: number;
  /** Why it is in this state, for people: the last exit, the failing probe. Empty when all is well. */
  readonly message: string;
  /** True once it will not be tried again at the present pace: repeated failures within the readiness time. */
  readonly failing: boolean;
}

export interface ObservedWorkload {
  readonly workloadId: Id;
  readonly generation: number;
  readonly replicas: number;
  /**
   * `workloadDigest` of the spec that it was told, if what it made of it is still as told; another text asks for the spec again. Null:
   * this cluster cannot be meddled with, the generation says all.
   */
  readonly specDigest: string | null;
  /** What keeps replicas from being made or placed; null = nothing. */
  readonly problem: WorkloadProblem | null;
}

export interface WorkloadProblem {
  /** `Unschedulable`, `QuotaExceeded`, `AdmissionRefused`, … */
  readonly reason: string;
  /** In the cluster's own words. */
  readonly message: string;
  /** True if waiting does not help: somebody has to change something. */
  readonly failing: boolean;
}

export interface ClusterObservation {
  readonly observedAt: Instant;
  readonly workloads: readonly ObservedWorkload[];
  readonly replicas: readonly ObservedReplica[];
}

export type ApplyResult =
  | { readonly outcome: 'applied' | 'unchanged' }
  | { readonly outcome: 'stale_epoch'; readonly seenEpoch: number }
  | { readonly outcome: 'stale_generation'; readonly seenGeneration: number }
  /**
   * The cluster can never run it as asked: `reason` is a code such as `NO_CONTAINER_RUNTIME`, `PROCESS_NOT_ALLOWED`, `ONE_TEAM_ONLY`. With
   * `waits` it cannot just now, through no fault of what was asked: asking again helps.
   */
  | { readonly outcome: 'refused'; readonly reason: string; readonly message: string; readonly waits?: true };

export interface LogPage {
  readonly lines: readonly { readonly at: Instant; readonly stream: 'stdout' | 'stderr'; readonly text: string }[];
  /** Opaque; pass it back to go on where this page ended. */
  readonly cursor: string;
}

/** Thrown by every method when the cluster cannot be reached: what it runs is then *unknown*, which is never *gone*. */
export class ClusterUnreachable extends Error {
  override readonly name = 'ClusterUnreachable';
}

/** A place that runs workloads. */
export interface ClusterPort {
  readonly kind: 'local' | 'kubernetes' | 'simulated';

  /**
   * Makes the workload's spec the wish of the cluster and returns before it is true; progress shows in `observe`. Lower replica
   * counts drain the surplus, unready and youngest first. Idempotent: a repeat of the same spec answers `unchanged`; a lower generation
   * or epoch changes nothing and says so. The same generation with another spec (a quota, a moved API address) is applied.
   */
  apply(workload: WorkloadSpec, fence: Fence): Promise<ApplyResult>;

  /** Drains and gives up every replica of the workload, then forgets it. Idempotent: an absent workload is `unchanged`. */
  remove(workloadId: Id, fence: Fence): Promise<ApplyResult>;

  /**
   * Removes what it keeps for projects beside their workloads, where nothing of a project is left and it is none of these (`team/project`).
   * Idempotent; `unchanged` where nothing is left over. What others made stays.
   */
  tidy(projects: ReadonlySet<string>, fence: Fence): Promise<ApplyResult>;

  /** Everything that this installation runs there, replicas given up in the last hour included. Safe to repeat; never partial: throws instead. */
  observe(): Promise<ClusterObservation>;

  /** Resolves when something changed since the last `observe`, or when the signal aborts. Spurious wake-ups are allowed. */
  changed(signal: AbortSignal): Promise<void>;

  /** The newest lines (no cursor) or those after the cursor, at most `limit`. An unknown replica has an empty page. Safe to repeat. */
  logs(replicaId: Id, options: { readonly cursor: string | null; readonly limit: number }): Promise<LogPage>;
}
