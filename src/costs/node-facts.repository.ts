import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { Quantities } from './attribute-node.ts';
import type { KnownCluster, NodeFactsStore } from './node-facts-store.port.ts';
import type { KnownPod, NodeFacts } from './plan-node-facts.ts';
import type { PodReading, UseOfMinute } from './pod-use.ts';

interface QuantityColumns {
  readonly cpu: number;
  readonly memory: number;
  readonly gpu: number;
}

interface NodeRow extends QuantityColumns {
  readonly nodeId: Id;
  readonly capacityFrom: Instant;
  readonly capacityUntil: Instant | null;
  readonly sampledThrough: Instant;
  readonly n: number;
  readonly unitPrices: number;
  readonly offeringId: Id | null;
  readonly annotated: string | null;
}

type PodRow = Omit<KnownPod, 'requests'> & QuantityColumns;

const NODES = `
  select m.node_id as "nodeId", m.capacity_from as "capacityFrom", m.capacity_until as "capacityUntil", m.sampled_through as "sampledThrough",
    s.n, s.cpu_milli as cpu, s.memory_mib as memory, s.gpu_milli as gpu, s.unit_prices as "unitPrices", s.offering_id as "offeringId",
    s.annotated::text as annotated
  from metered_node m cross join lateral (select * from node_shape s where s.node_id = m.node_id order by s.n desc limit 1) s
  where m.cluster_id = $1 and (m.capacity_until is null or m.node_id = any ($2::uuid[])) order by m.node_id`;

const PODS = `
  select distinct on (p.pod_id) p.pod_id as "podId", p.node_id as "nodeId", p.placed_from as "from", p.placed_until as until,
    p.cpu_milli as cpu, p.memory_mib as memory, p.gpu_milli as gpu
  from node_placement p where p.pod_id = any ($2::uuid[])
    or (p.placed_until is null and p.node_id in (select node_id from metered_node where cluster_id = $1))
  order by p.pod_id, p.placed_from desc`;

/** Closed minutes of nodes from an instant on. */
const QUEUE = `
  insert into node_restatement (node_id, minute)
  select distinct m.node_id, x.minute from jsonb_to_recordset($1::jsonb) as f("nodeId" uuid, "from" bigint)
    join metered_node m on m.node_id = f."nodeId"
    cross join lateral generate_series(greatest(f."from", m.capacity_from) / 60000 * 60000, m.closed_until - 60000, 60000) as x(minute)
  order by 1, 2 on conflict do nothing`;

/** A replica's minutes were closed at its offering's price before anybody knew that it is on a node. */
const HELD = `
  select r.replica_id from metered_replica r where r.replica_id = any ($1::uuid[]) order by r.replica_id for share`;
const QUEUE_REPLICAS = `
  insert into restatement (replica_id, minute, team_id)
  select r.id, x.minute, r.team_id from replica r join metered_replica m on m.replica_id = r.id
    cross join lateral generate_series(r.capacity_from / 60000 * 60000, m.closed_until - 60000, 60000) as x(minute)
    where r.id = any ($1::uuid[]) order by 1, 2 on conflict do nothing`;

/** Nodes, pods and what these used, in PostgreSQL. */
export class NodeFactsRepository implements NodeFactsStore {
  async known(tx: Transaction, clusterId: Id, seen: { nodeIds: readonly Id[]; podIds: readonly Id[] }): Promise<KnownCluster> {
    const sql = sqlOf(tx);
    const [cluster] = await sql.query<{ name: string }>(`select name from cluster where id = $1`, [clusterId]);
    const nodes = await sql.query<NodeRow>(NODES, [clusterId, `{${seen.nodeIds.join(',')}}`]);
    const pods = await sql.query<PodRow>(PODS, [clusterId, `{${seen.podIds.join(',')}}`]);
    return {
      name: cluster?.name ?? clusterId,
      nodes: nodes.map(({ n, cpu, memory, gpu, unitPrices, offeringId, annotated, ...node }) => ({
        ...node,
        shape: {
          n,
          capacity: toQuantities({ cpu, memory, gpu }),
          unitPrices,
          offeringId,
          annotated: annotated === null ? null : BigInt(annotated),
        },
      })),
      pods: pods.map(({ cpu, memory, gpu, ...pod }) => ({ ...pod, requests: toQuantities({ cpu, memory, gpu }) })),
    };
  }

  async lockNodes(tx: Transaction, nodeIds: readonly Id[]): Promise<Id[]> {
    const rows = await sqlOf(tx).query<{ id: Id }>(
      `select cluster_id as id from metered_node where node_id = any ($1::uuid[]) order by node_id for no key update`,
      [`{${nodeIds.join(',')}}`],
    );
    return [...new Set(rows.map(({ id }) => id))];
  }

  async saveFacts(tx: Transaction, clusterId: Id, facts: NodeFacts): Promise<void> {
    const sql = sqlOf(tx);
    const write = async (text: string, rows: readonly object[], more: readonly unknown[] = []): Promise<void> => {
      if (rows.length > 0) await sql.execute(text, [JSON.stringify(rows), ...more]);
    };
    await write(INSERT_NODES, facts.nodes, [clusterId]);
    await write(
      INSERT_SHAPES,
      facts.shapes.map(({ annotated, ...shape }) => ({ ...shape, ...shape.capacity, annotated: annotated?.toString() ?? null })),
    );
    await write(UPDATE_ENDS, facts.ends);
    await write(UPDATE_LEFT, facts.left);
    await write(
      INSERT_PLACEMENTS,
      facts.placements.map((placement) => ({ ...placement, ...placement.requests })),
    );
    const placed = [`{${facts.placements.map(({ podId }) => podId).join(',')}}`];
    // Before anything is queued: whoever holds a replica may be waiting to queue the same minutes.
    if (facts.placements.length > 0) await sql.query(HELD, placed);
    await write(QUEUE, facts.stale);
    if (facts.placements.length > 0) await sql.execute(QUEUE_REPLICAS, placed);
  }

  async readings(
    tx: Transaction,
    podIds: readonly Id[],
  ): Promise<ReadonlyMap<Id, { readonly nodeId: Id; readonly last: PodReading | null }>> {
    const rows = await sqlOf(tx).query<{ podId: Id; nodeId: Id; at: Instant | null; cpuUs: number | null }>(
      `select distinct on (p.pod_id) p.pod_id as "podId", p.node_id as "nodeId", r.at, r.cpu_us as "cpuUs"
        from node_placement p left join pod_reading r on r.pod_id = p.pod_id
        where p.pod_id = any ($1::uuid[]) order by p.pod_id, p.placed_from desc`,
      [`{${podIds.join(',')}}`],
    );
    return new Map(
      rows.map(({ podId, nodeId, at, cpuUs }) => [podId, { nodeId, last: at === null ? null : { podId, at, cpuUs } }]),
    );
  }

  async saveReadings(tx: Transaction, readings: readonly PodReading[]): Promise<void> {
    if (readings.length === 0) return;
    await sqlOf(tx).execute(
      `insert into pod_reading (pod_id, at, cpu_us)
        select "podId", at, "cpuUs" from jsonb_to_recordset($1::jsonb) as x("podId" uuid, at bigint, "cpuUs" bigint) order by 1
        on conflict (pod_id) do update set at = excluded.at, cpu_us = excluded.cpu_us`,
      [JSON.stringify(readings)],
    );
  }

  async addUse(tx: Transaction, use: readonly (UseOfMinute & { readonly nodeId: Id })[]): Promise<void> {
    if (use.length === 0) return;
    const json = [JSON.stringify(use)];
    await sqlOf(tx).execute(ADD_USE, json);
    await sqlOf(tx).execute(QUEUE_MINUTES, json);
  }

  async saveSampled(tx: Transaction, nodes: readonly { nodeId: Id; through: Instant }[]): Promise<void> {
    if (nodes.length === 0) return;
    await sqlOf(tx).execute(
      `update metered_node m set sampled_through = x.through from jsonb_to_recordset($1::jsonb) as x("nodeId" uuid, through bigint)
        where m.node_id = x."nodeId" and x.through > m.sampled_through`,
      [JSON.stringify(nodes)],
    );
  }
}

const INSERT_NODES = `
  insert into metered_node (node_id, cluster_id, name, capacity_from, closed_until)
  select "nodeId", $2, name, "from", "from" / 60000 * 60000 from jsonb_to_recordset($1::jsonb) as x("nodeId" uuid, name text, "from" bigint)
  order by 1 on conflict do nothing`;
const INSERT_SHAPES = `
  insert into node_shape (node_id, n, at, cpu_milli, memory_mib, gpu_milli, unit_prices, offering_id, annotated)
  select "nodeId", n, at, "cpuMilli", "memoryMib", "gpuMilli", "unitPrices", "offeringId", annotated
    from jsonb_to_recordset($1::jsonb) as x("nodeId" uuid, n integer, at bigint, "cpuMilli" bigint, "memoryMib" bigint, "gpuMilli" bigint,
      "unitPrices" integer, "offeringId" uuid, annotated numeric)`;
const UPDATE_ENDS = `
  update metered_node m set capacity_until = x.until, until_estimated = x.estimated, ended = false
    from jsonb_to_recordset($1::jsonb) as x("nodeId" uuid, until bigint, estimated boolean) where m.node_id = x."nodeId"`;
const UPDATE_LEFT = `
  update node_placement p set placed_until = x.until
    from jsonb_to_recordset($1::jsonb) as x("podId" uuid, "from" bigint, until bigint) where p.pod_id = x."podId" and p.placed_from = x."from"`;
const INSERT_PLACEMENTS = `
  insert into node_placement (pod_id, placed_from, node_id, namespace, name, cpu_milli, memory_mib, gpu_milli)
  select "podId", "from", "nodeId", namespace, name, "cpuMilli", "memoryMib", "gpuMilli"
    from jsonb_to_recordset($1::jsonb) as x("podId" uuid, "from" bigint, "nodeId" uuid, namespace text, name text, "cpuMilli" bigint,
      "memoryMib" bigint, "gpuMilli" bigint) order by 1 on conflict do nothing`;

const USE = ['cpu_us', 'cpu_ms', 'memory_mib', 'memory_samples'];
const ADD_USE = `
  insert into pod_use (pod_id, minute, ${USE.join(', ')})
  select "podId", minute, sum("cpuUs"), sum("cpuMs"), sum("memoryMib"), sum("memorySamples")
    from jsonb_to_recordset($1::jsonb) as x("podId" uuid, minute bigint, "cpuUs" bigint, "cpuMs" bigint, "memoryMib" bigint,
      "memorySamples" integer) group by 1, 2 order by 1, 2
  on conflict (pod_id, minute) do update set ${USE.map((column) => `${column} = pod_use.${column} + excluded.${column}`).join(', ')}`;
const QUEUE_MINUTES = `
  insert into node_restatement (node_id, minute)
  select distinct m.node_id, x.minute from jsonb_to_recordset($1::jsonb) as x("nodeId" uuid, minute bigint)
    join metered_node m on m.node_id = x."nodeId" where x.minute < m.closed_until and x.minute >= m.capacity_from / 60000 * 60000
  order by 1, 2 on conflict do nothing`;

const toQuantities = ({ cpu, memory, gpu }: QuantityColumns): Quantities => ({ cpuMilli: cpu, memoryMib: memory, gpuMilli: gpu });
