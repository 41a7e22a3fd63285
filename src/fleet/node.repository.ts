import type { RentedPool, RentedPools } from '../clouds/rented-pools.port.ts';
import type { Cause } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { appendHistory } from '../persistence/history.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { ClusterNode, PoolScaling } from './node.ts';
import type { NodesQuestion, NodeStore } from './node-store.port.ts';

/** Column of the table → field of the noun, in the order in which rows are written. */
const COLUMNS = {
  ...{ id: 'id', cluster_id: 'clusterId', pool_id: 'poolId', name: 'name', provider: 'provider', instance_id: 'instanceId' },
  ...{ region: 'region', zone: 'zone', instance_type: 'instanceType', capacity_type: 'capacityType', offering_id: 'offeringId' },
  ...{
    price_per_hour: 'pricePerHour',
    price_problem: 'priceProblem',
    capacity: 'capacity',
    allocatable: 'allocatable',
    from_at: 'from',
    until_at: 'until',
  },
  ...{ until_estimated: 'untilEstimated', readiness: 'readiness', readiness_since: 'readinessSince', schedulable: 'schedulable' },
  ...{ notice: 'notice', releasing: 'releasing', idle_since: 'idleSince', pods: 'pods', observed_at: 'observedAt' },
  ...{ noticed_replicas: 'noticedReplicas', version: 'version' },
} as const satisfies Readonly<Record<string, keyof ClusterNode>>;

const NAMES = Object.keys(COLUMNS);
const FIELDS = Object.entries(COLUMNS)
  .map(([column, field]) => `n.${column} as "${field}"`)
  .join(', ');
const SCALING = `select pool_id as "poolId", provider, config, min_nodes as "minNodes", max_nodes as "maxNodes",
  desired_nodes as "desiredNodes", scaled_at as "scaledAt", conditions, emptying, emptied_at as "emptiedAt", key_prefix as "keyPrefix",
  version from pool_scaling`;

type Row = Omit<ClusterNode, 'pricePerHour'> & { readonly pricePerHour: string | null };

const toNode = (row: Row): ClusterNode => ({ ...row, pricePerHour: row.pricePerHour === null ? null : BigInt(row.pricePerHour) });

/** Nodes and how pools scale, in PostgreSQL. */
export class NodeRepository implements NodeStore, RentedPools {
  async presentNodes(tx: Transaction, clusterId: Id): Promise<ClusterNode[]> {
    const text = `select ${FIELDS} from node n where n.cluster_id = $1 and n.until_at is null order by n.name, n.id`;
    return (await sqlOf(tx).query<Row>(text, [clusterId])).map(toNode);
  }

  async nodes(tx: Transaction, { clusterIds, after, limit }: NodesQuestion): Promise<ClusterNode[]> {
    const text = `select ${FIELDS} from unnest($1::uuid[]) as c(id) cross join lateral (
        select * from node where cluster_id = c.id and until_at is null and ($2::text is null or name collate "C" > $2)
        order by name collate "C", id limit $3) n
      order by n.cluster_id, n.name collate "C", n.id`;
    return (await sqlOf(tx).query<Row>(text, [clusterIds, after, limit])).map(toNode);
  }

  async nodesByIds(tx: Transaction, ids: readonly Id[]): Promise<ClusterNode[]> {
    return (await sqlOf(tx).query<Row>(`select ${FIELDS} from node n where n.id = any ($1::uuid[])`, [ids])).map(toNode);
  }

  async saveNodes(tx: Transaction, nodes: readonly ClusterNode[]): Promise<void> {
    if (nodes.length === 0) return;
    const rows = nodes.map((node) =>
      Object.fromEntries(Object.entries(COLUMNS).map(([column, field]) => [column, asJson(node[field])])),
    );
    const updates = NAMES.filter((name) => name !== 'id').map((name) => `${name} = excluded.${name}`);
    await sqlOf(tx).execute(
      `insert into node (${NAMES.join(', ')}) select ${NAMES.join(', ')} from jsonb_populate_recordset(null::node, $1)
       on conflict (id) do update set ${updates.join(', ')}`,
      [JSON.stringify(rows)],
    );
  }

  scalings(tx: Transaction, poolIds: readonly Id[]): Promise<PoolScaling[]> {
    return sqlOf(tx).query<PoolScaling>(`${SCALING} where pool_id = any ($1::uuid[])`, [poolIds]);
  }

  async lockScaling(tx: Transaction, poolId: Id): Promise<PoolScaling | null> {
    const [row] = await sqlOf(tx).query<PoolScaling>(`${SCALING} where pool_id = $1 for update`, [poolId]);
    return row ?? null;
  }

  async saveScaling(tx: Transaction, scaling: PoolScaling, { at, principal }: Cause): Promise<void> {
    const { poolId, provider, config, minNodes, maxNodes, version } = scaling;
    await sqlOf(tx).execute(
      `insert into pool_scaling (pool_id, provider, config, min_nodes, max_nodes, version) values ($1, $2, $3, $4, $5, $6)
       on conflict (pool_id) do update set provider = excluded.provider, config = excluded.config, min_nodes = excluded.min_nodes,
         max_nodes = excluded.max_nodes, version = excluded.version`,
      [poolId, provider, JSON.stringify(config), minNodes, maxNodes, version],
    );
    await appendHistory(tx, 'pool_scaling_history', {
      ...{ pool_id: poolId, generation: version, provider, config, min_nodes: minNodes, max_nodes: maxNodes },
      ...{ valid_from: at, principal },
    });
  }

  async saveScalingStatus(tx: Transaction, scaling: PoolScaling): Promise<void> {
    const { poolId, desiredNodes, scaledAt, conditions, emptying, emptiedAt } = scaling;
    await sqlOf(tx).execute(
      `update pool_scaling set desired_nodes = $2, scaled_at = $3, conditions = $4, emptying = $5, emptied_at = $6 where pool_id = $1`,
      [poolId, desiredNodes, scaledAt, JSON.stringify(conditions), emptying, emptiedAt],
    );
  }

  rentedFrom(tx: Transaction, provider: string): Promise<RentedPool[]> {
    return sqlOf(tx).query<RentedPool>(
      `select c.name as cluster, p.name as pool, s.config->>'region' as region, s.config
         from pool_scaling s join pool p on p.id = s.pool_id join cluster c on c.id = p.cluster_id
         where s.provider = $1 and s.scaled_at is not null order by c.name, p.name`,
      [provider],
    );
  }

  async dropScaling(tx: Transaction, poolId: Id): Promise<void> {
    await sqlOf(tx).execute(`delete from pool_scaling where pool_id = $1`, [poolId]);
  }
}

/** `numeric(38,0)` travels as text. */
const asJson = (value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);
