import type { Visible } from '../identity/authorize.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Deployment, DeploymentPhase } from './deployment.ts';
import type { ReplicaChange } from './observe-replicas.ts';
import type { Replica, Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import type { Rollout } from './rollout.ts';

export interface DeploymentPath {
  readonly teamName: string;
  readonly projectName: string;
  readonly name: string;
}

export type DeploymentRef = { readonly id: Id } | DeploymentPath;

export interface DeploymentsQuestion {
  readonly projectId: Id | null;
  readonly phases: readonly DeploymentPhase[] | null;
  /** Part of the name; null = any. */
  readonly nameContains: string | null;
  /** Teams and projects that the caller may read; null = all. */
  readonly visible: Visible | null;
  /** `team/project/name` of the last one seen. */
  readonly after: string | null;
  readonly limit: number;
}

/** Replicas asked for on one offering by one project. */
export interface HeldCapacity {
  readonly projectId: Id;
  readonly offeringId: Id;
  readonly replicas: number;
  /** That they need: whole ones for each workload. */
  readonly machines: number;
}

/** Deployments and everything below them. Reads see what the transaction's scope sees; each is one statement whatever the number of rows. */
export interface DeploymentStore {
  /** Deployments that are gone do not exist; deleted ones do until then. */
  deployment(tx: Transaction, by: DeploymentRef): Promise<Deployment | null>;
  /** The same, locked until the transaction ends. */
  lockDeployment(tx: Transaction, id: Id): Promise<Deployment | null>;
  /** Waits until no other wish of this team is being made, so that guards are counted once; ends with the transaction. */
  lockTeam(tx: Transaction, teamId: Id): Promise<void>;
  /** By path, one more than asked where there are more. */
  deployments(tx: Transaction, question: DeploymentsQuestion): Promise<Deployment[]>;
  deploymentsByIds(tx: Transaction, ids: readonly Id[]): Promise<Deployment[]>;
  /** Those that run a version of these models now, newest first. */
  deploymentsOf(
    tx: Transaction,
    of: { readonly modelIds?: readonly Id[]; readonly versionIds?: readonly Id[] },
  ): Promise<{ readonly key: Id; readonly deployment: Deployment }[]>;
  /** Not gone and with a workload on this cluster, whatever its state. */
  deploymentsOn(tx: Transaction, clusterId: Id): Promise<Deployment[]>;
  /** Not deleted, of every team. */
  liveDeployments(tx: Transaction): Promise<Deployment[]>;
  deletedSince(tx: Transaction, since: Instant): Promise<{ readonly deploymentId: Id; readonly at: Instant }[]>;
  insertDeployment(tx: Transaction, deployment: Deployment): Promise<void>;
  /** False if the row is no longer of version `expected`. */
  updateDeployment(tx: Transaction, deployment: Deployment, expected: number): Promise<boolean>;
  /** Appends the wish to its history; a deleted one as null. */
  appendWish(tx: Transaction, deployment: Deployment, principal: string): Promise<void>;

  revisions(tx: Transaction, deploymentIds: readonly Id[]): Promise<Revision[]>;
  revisionsByIds(tx: Transaction, ids: readonly Id[]): Promise<Revision[]>;
  clusterNames(tx: Transaction, ids: readonly Id[]): Promise<{ readonly id: Id; readonly name: string }[]>;
  insertRevision(tx: Transaction, revision: Revision): Promise<void>;

  /** Of each deployment the rollout under way, else the last one. */
  rollouts(tx: Transaction, deploymentIds: readonly Id[]): Promise<Rollout[]>;
  /** Also appends its state to its history: each version once. */
  saveRollout(tx: Transaction, rollout: Rollout, principal: string): Promise<void>;

  /** Those not gone. */
  workloads(tx: Transaction, deploymentIds: readonly Id[], on?: { readonly except: Id }): Promise<Workload[]>;
  workloadsOn(tx: Transaction, clusterId: Id): Promise<Workload[]>;
  saveWorkload(tx: Transaction, workload: Workload): Promise<void>;
  /** From the start of a replica of this version until it served: the middle of the last ones; null = none was seen to. */
  startMs(tx: Transaction, modelVersionId: Id): Promise<number | null>;
  /** Machines that are wished for in each of these pools, by every team; a pool without any is absent. */
  machinesIn(tx: Transaction, poolIds: readonly Id[]): Promise<ReadonlyMap<Id, number>>;
  /** What the team holds, one deployment left out. */
  heldCapacity(tx: Transaction, teamId: Id, except: Id | null): Promise<HeldCapacity[]>;

  /** Those that hold their slot. */
  replicas(tx: Transaction, deploymentIds: readonly Id[]): Promise<Replica[]>;
  /** Of one cluster: those that hold their slot or gave it up since. */
  replicasOn(tx: Transaction, clusterId: Id, since: Instant): Promise<Replica[]>;
  replica(tx: Transaction, id: Id): Promise<Replica | null>;
  replicasByIds(tx: Transaction, ids: readonly Id[]): Promise<Replica[]>;
  saveReplicas(tx: Transaction, changes: readonly ReplicaChange[]): Promise<void>;
  /** Which of these ever were replicas that could serve. */
  everServed(tx: Transaction, replicaIds: readonly Id[]): Promise<ReadonlySet<Id>>;
}
