import type { ReplicaState } from '../deployments/cluster.port.ts';
import type { DeploymentSpec, TrafficWeight } from '../deployments/deployment.ts';
import type { Revision } from '../deployments/revision.ts';
import { effectiveWeights, type Rollout } from '../deployments/rollout.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { believedRowAt, type PriceRow } from '../pricing/price-book.ts';

/** What was written in the last moments may still be on its way: a snapshot of it could change. Higher refuses more, lower could lie. */
export const UNSETTLED_MS = 10_000;

/** The wish that held at an instant. */
export interface PastWish {
  readonly deploymentId: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  /** `team/project/deployment`. */
  readonly path: string;
  readonly spec: DeploymentSpec;
  readonly generation: number;
  readonly validFrom: Instant;
  readonly principal: string;
}

/** The newest rollout of a deployment at an instant, in the state that it was in. */
export type PastRollout = Pick<Rollout, 'deploymentId' | 'fromWeights' | 'toRevision' | 'state' | 'step' | 'endedAt'>;

/** A replica that held its slot at an instant. */
export interface PastReplica {
  readonly id: Id;
  readonly deploymentId: Id;
  readonly revisionId: Id;
  readonly offeringId: Id;
  /** The offering's key as one line. */
  readonly offering: string;
  readonly state: ReplicaState;
  readonly capacityFrom: Instant;
  /** As it is known now; null = still held. */
  readonly capacityUntil: Instant | null;
}

/** Where an alias pointed. */
export interface PastAlias {
  readonly modelId: Id;
  /** `team/project/model`. */
  readonly modelPath: string;
  readonly name: string;
  readonly versionId: Id;
  readonly validFrom: Instant;
  readonly principal: string;
}

export interface PastReplicaPriced extends PastReplica {
  /** Number of the revision that it ran. */
  readonly revision: number;
  /** What was believed at that instant, from what was known at that instant; null = unpriced. */
  readonly price: PriceRow | null;
}

/** One deployment as it was. */
export interface PastDeployment extends PastWish {
  /** Where traffic went, with what each revision ran. */
  readonly traffic: readonly (TrafficWeight & { readonly modelVersionId: Id | null })[];
  readonly replicas: readonly PastReplicaPriced[];
  /** Sum of the rates of the replicas; unpriced ones count nothing. */
  readonly hourly: PicoUsdPerHour;
}

export interface SnapshotFacts {
  readonly wishes: readonly PastWish[];
  readonly revisions: readonly Revision[];
  readonly rollouts: readonly PastRollout[];
  readonly replicas: readonly PastReplica[];
  readonly prices: readonly PriceRow[];
}

/** True if everything that happened by then is known. */
export const isSettled = (instant: Instant, now: Instant): boolean => instant <= now - UNSETTLED_MS;

/** Deployments as they were at an instant, in the order of the wishes. */
export function makeSnapshot(facts: SnapshotFacts, instant: Instant): PastDeployment[] {
  const revisions = Map.groupBy(facts.revisions, ({ deploymentId }) => deploymentId);
  const rollouts = new Map(facts.rollouts.map((rollout) => [rollout.deploymentId, rollout]));
  const replicas = Map.groupBy(facts.replicas, ({ deploymentId }) => deploymentId);
  const known = facts.prices.filter(({ observedAt }) => observedAt <= instant);
  const rows = Map.groupBy(known, ({ offeringId }) => offeringId);
  return facts.wishes.map((wish) => {
    const own = revisions.get(wish.deploymentId) ?? [];
    const weights = effectiveWeights(wish.spec.traffic, rollouts.get(wish.deploymentId) ?? null);
    const priced = (replicas.get(wish.deploymentId) ?? []).map((replica) => ({
      ...replica,
      revision: own.find(({ id }) => id === replica.revisionId)?.number ?? 0,
      price: believedRowAt(rows.get(replica.offeringId) ?? [], instant),
    }));
    return {
      ...wish,
      traffic: weights.map((share) => ({
        ...share,
        modelVersionId: own.find(({ number }) => number === share.revision)?.modelVersionId ?? null,
      })),
      replicas: priced,
      hourly: priced.reduce((sum, { price }) => sum + (price?.effective ?? 0n), 0n),
    };
  });
}
