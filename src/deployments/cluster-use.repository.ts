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
}
