import type { ClusterUse } from '../fleet/cluster-use.port.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';

/** What clusters are used for, from the workloads' rows. */
export class ClusterUseRepository implements ClusterUse {
  async workloads(tx: Transaction, clusterId: Id): Promise<number> {
    const [row] = await sqlOf(tx).query<{ count: number }>(
      `select count(*)::integer as count from workload where cluster_id = $1 and gone_at is null`,
      [clusterId],
    );
    return row?.count ?? 0;
  }

  async workloadsOfPools(tx: Transaction, poolIds: readonly Id[]): Promise<ReadonlyMap<Id, number>> {
    const rows = await sqlOf(tx).query<{ poolId: Id; count: number }>(
      `select pool_id as "poolId", count(*)::integer as count from workload where pool_id = any ($1::uuid[]) and gone_at is null group by pool_id`,
      [poolIds],
    );
    return new Map(rows.map(({ poolId, count }) => [poolId, count]));
  }
}
