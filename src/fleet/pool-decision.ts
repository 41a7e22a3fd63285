import type { DecisionDraft } from '../decisions/decision.ts';
import type { Cause } from '../kernel/event.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Cluster, Pool } from './cluster.ts';
import type { PoolScaling } from './node.ts';
import type { Consolidation } from './plan-pools.ts';

export interface PoolChoice extends Cause {
  readonly cluster: Pick<Cluster, 'name'>;
  readonly pool: Pool;
  readonly scaling: PoolScaling;
  readonly from: number;
  readonly to: number;
  /** Machines that are given back, by the provider's names. */
  readonly release: readonly string[];
  readonly reason: string;
  /** What a node of it costs by the price book; null = nobody knows. */
  readonly rate: PicoUsdPerHour | null;
}

/** Why a pool has another number of nodes. Pools belong to no team: only administrators of the platform read it. */
export const poolDecision = ({
  cluster,
  pool,
  scaling,
  from,
  to,
  release,
  reason,
  rate,
  at,
  principal,
}: PoolChoice): DecisionDraft => ({
  ...{ teamId: null, projectId: null, deploymentId: null, kind: 'scale_pool', subjectKind: 'Pool', subjectId: pool.id },
  ...{ at, principal, candidates: [], rejected: {} },
  inputs: {
    ...{ cluster: cluster.name, pool: pool.name, nodes: from, isRemoved: pool.removedAt !== null },
    ...{ provider: scaling.provider, minNodes: scaling.minNodes, maxNodes: scaling.maxNodes },
  },
  chosen: { nodes: to, release: [...release] },
  reasons: [reason],
  expectedHourly: rate === null ? null : rate * BigInt(to),
});

/** Why a node is emptied, with what it saves and costs. */
export const consolidationDecision = ({
  cluster,
  pool,
  consolidation: { node, moves, verdict },
  reason,
  at,
  principal,
}: Pick<PoolChoice, 'cluster' | 'pool' | 'reason' | 'at' | 'principal'> & {
  readonly consolidation: Consolidation;
}): DecisionDraft => ({
  ...{ teamId: null, projectId: null, deploymentId: null, kind: 'consolidate', subjectKind: 'Pool', subjectId: pool.id },
  ...{ at, principal, candidates: [], rejected: {} },
  inputs: { cluster: cluster.name, pool: pool.name, costOfMoving: verdict.cost.toString() },
  chosen: { node: node.name, moves: moves.map((move) => ({ ...move })) },
  reasons: [reason],
  expectedHourly: null,
  ...(verdict.saving === null ? {} : { expectedSaving: verdict.saving - verdict.cost }),
});
