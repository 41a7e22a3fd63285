import type { Cause } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { appendHistory } from '../persistence/history.ts';
import { sqlOf } from '../persistence/sql.ts';
import { isLost, type Cluster, type Pool } from './cluster.ts';
import type { ClusterStore } from './cluster-store.port.ts';
import { KARPENTER } from './node.ts';

/** An arbitrary constant that only this lock uses. */
const SOURCES_LOCK = 7_203_918;

const CLUSTER = `select id, name, kind, machine_id as "machineId", nullif(config, '{}') as config, cordoned, version, row_version as "rowVersion",
  created_at as "createdAt", removed_at as "removedAt", observed_at as "observedAt", conditions, held_removals as "heldRemovals",
  approved_removals as "approvedRemovals", rebuilds, rebuilt, capacity_sources as "capacitySources", lost_at as "lostAt" from cluster`;
const POOL = `select id, cluster_id as "clusterId", name, capacity_type as "capacityType", offering_id as "offeringId",
  node_selector as "nodeSelector", version, created_at as "createdAt", removed_at as "removedAt" from pool`;

const appendCluster = (tx: Transaction, cluster: Cluster, { at, principal }: Cause): Promise<void> =>
  appendHistory(tx, 'cluster_history', {
    ...{ cluster_id: cluster.id, generation: cluster.version, machine_id: cluster.machineId, cordoned: String(cluster.cordoned) },
    ...{ config: cluster.config, removed: String(cluster.removedAt !== null), valid_from: at, principal },
    ...{ capacity_sources: cluster.capacitySources ?? [], lost: String(isLost(cluster)) },
  });

const appendPool = (tx: Transaction, pool: Pool, { at, principal }: Cause): Promise<void> =>
  appendHistory(tx, 'pool_history', {
    ...{ pool_id: pool.id, generation: pool.version, capacity_type: pool.capacityType, offering_id: pool.offeringId },
    ...{ node_selector: pool.nodeSelector, removed: String(pool.removedAt !== null), valid_from: at, principal },
  });

/** Clusters and pools in PostgreSQL. */
export class ClusterRepository implements ClusterStore {
  async cluster(tx: Transaction, by: { id: Id } | { name: string }): Promise<Cluster | null> {
    const [column, value] = 'id' in by ? ['id', by.id] : ['name', by.name];
    const [row] = await sqlOf(tx).query<Cluster>(`${CLUSTER} where ${column} = $1 and removed_at is null`, [value]);
    return row ?? null;
  }

  async lockCluster(tx: Transaction, id: Id): Promise<Cluster | null> {
    const [row] = await sqlOf(tx).query<Cluster>(`${CLUSTER} where id = $1 and removed_at is null for update`, [id]);
    return row ?? null;
  }

  clusters(tx: Transaction, window: { readonly after: string | null; readonly limit: number }): Promise<Cluster[]> {
    const text = `${CLUSTER} where removed_at is null and ($1::text is null or name collate "C" > $1) order by name collate "C" limit $2`;
    return sqlOf(tx).query<Cluster>(text, [window.after, window.limit + 1]);
  }

  present(tx: Transaction): Promise<Cluster[]> {
    return sqlOf(tx).query<Cluster>(`${CLUSTER} where removed_at is null order by created_at, id`);
  }

  clustersByIds(tx: Transaction, ids: readonly Id[]): Promise<Cluster[]> {
    return sqlOf(tx).query<Cluster>(`${CLUSTER} where id = any ($1::uuid[])`, [ids]);
  }

  pools(tx: Transaction, clusterIds: readonly Id[]): Promise<Pool[]> {
    return sqlOf(tx).query<Pool>(`${POOL} where cluster_id = any ($1::uuid[]) and removed_at is null order by cluster_id, name`, [
      clusterIds,
    ]);
  }

  async pool(tx: Transaction, id: Id): Promise<Pool | null> {
    const [row] = await sqlOf(tx).query<Pool>(`${POOL} where id = $1 and removed_at is null`, [id]);
    return row ?? null;
  }

  async insertCluster(tx: Transaction, cluster: Cluster, principal: string): Promise<boolean> {
    const text = `insert into cluster (id, name, kind, machine_id, config, version, row_version, created_at, capacity_sources)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing`;
    const values = [
      ...[cluster.id, cluster.name, cluster.kind, cluster.machineId, JSON.stringify(cluster.config ?? {})],
      ...[cluster.version, cluster.rowVersion, cluster.createdAt, JSON.stringify(cluster.capacitySources ?? [])],
    ];
    const inserted = (await sqlOf(tx).execute(text, values)) === 1;
    if (inserted) await appendCluster(tx, cluster, { at: cluster.createdAt, principal });
    return inserted;
  }

  lockPools(tx: Transaction, ids: readonly Id[], mode: 'use' | 'change'): Promise<Pool[]> {
    const lock = mode === 'use' ? 'share' : 'no key update';
    const text = `${POOL} where id = any ($1::uuid[]) and removed_at is null order by id for ${lock}`;
    return sqlOf(tx).query<Pool>(text, [ids]);
  }

  async lockSources(tx: Transaction): Promise<void> {
    await sqlOf(tx).query(`select pg_advisory_xact_lock($1)`, [SOURCES_LOCK]);
  }

  rentedPools(tx: Transaction, clusterIds: readonly Id[]): Promise<Pool[]> {
    const text = `${POOL} where cluster_id = any ($1::uuid[]) and id in (select pool_id from pool_scaling where provider <> $2) order by name, id`;
    return sqlOf(tx).query<Pool>(text, [clusterIds, KARPENTER]);
  }

  async insertPool(tx: Transaction, pool: Pool, principal: string): Promise<boolean> {
    const text = `insert into pool (id, cluster_id, name, capacity_type, offering_id, node_selector, version, created_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing`;
    const { id, clusterId, name, capacityType, offeringId, nodeSelector, version, createdAt } = pool;
    const values = [id, clusterId, name, capacityType, offeringId, JSON.stringify(nodeSelector), version, createdAt];
    const inserted = (await sqlOf(tx).execute(text, values)) === 1;
    if (inserted) await appendPool(tx, pool, { at: createdAt, principal });
    return inserted;
  }

  async updatePool(tx: Transaction, pool: Pool, cause: Cause): Promise<void> {
    const { id, offeringId, nodeSelector, version, removedAt } = pool;
    await sqlOf(tx).execute(`update pool set offering_id = $2, node_selector = $3, version = $4, removed_at = $5 where id = $1`, [
      ...[id, offeringId, JSON.stringify(nodeSelector), version, removedAt],
    ]);
    await appendPool(tx, pool, cause);
  }

  async updateCluster(tx: Transaction, cluster: Cluster, cause: Cause): Promise<void> {
    const { id, machineId, cordoned, version, rowVersion, removedAt, config, capacitySources = [], lostAt = null } = cluster;
    const values = [
      ...[id, machineId, cordoned, version, rowVersion, removedAt],
      ...[JSON.stringify(config ?? {}), JSON.stringify(capacitySources), lostAt],
    ];
    await sqlOf(tx).execute(
      `update cluster set machine_id = $2, cordoned = $3, version = $4, row_version = $5, removed_at = $6, config = $7,
         capacity_sources = $8, lost_at = $9 where id = $1`,
      values,
    );
    await appendCluster(tx, cluster, cause);
  }

  async updateStatus(tx: Transaction, cluster: Cluster): Promise<void> {
    const { heldRemovals: held, approvedRemovals: approved } = cluster;
    await sqlOf(tx).execute(
      `update cluster set row_version = $2, observed_at = $3, conditions = $4, held_removals = $5, approved_removals = $6, rebuilds = $7,
         rebuilt = $8 where id = $1`,
      [
        ...[cluster.id, cluster.rowVersion, cluster.observedAt, JSON.stringify(cluster.conditions)],
        ...[held && JSON.stringify(held), approved && JSON.stringify(approved), cluster.rebuilds, cluster.rebuilt],
      ],
    );
  }
}
