import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import { believedSteps, type PriceRow } from '../pricing/price-book.ts';
import type { RatedStep } from './attribute-costs.ts';
import type { NodeShape, Quantities } from './attribute-node.ts';
import { bookedNodeLines } from './ledger-lines.repository.ts';
import type { CostedNode, MeteredNode, NodeCostStore, NodeProgress, PlacedPod, Span } from './node-cost-store.port.ts';
import { averageUse } from './pod-use.ts';
import type { BookedLine } from './restate.ts';

interface QuantityColumns {
  readonly cpu: number;
  readonly memory: number;
  readonly gpu: number;
}

interface NodeRow {
  readonly nodeId: Id;
  readonly clusterId: Id;
  readonly name: string;
  readonly capacityFrom: Instant;
  readonly capacityUntil: Instant | null;
  readonly shapes: readonly (QuantityColumns & {
    readonly at: Instant;
    readonly unitPrices: number;
    readonly offeringId: Id | null;
    readonly seen: number;
  })[];
}

interface PlacementRow extends QuantityColumns {
  readonly nodeId: Id;
  readonly podId: Id;
  readonly from: Instant;
  readonly until: Instant | null;
  readonly next: Instant | null;
  readonly first: boolean;
  readonly isReplica: boolean;
}

interface UseRow {
  readonly podId: Id;
  readonly minute: Instant;
  readonly cpuUs: number;
  readonly cpuMs: number;
  readonly memoryMib: number;
  readonly memorySamples: number;
}

type PriceJson = Omit<PriceRow, 'list' | 'contracted' | 'effective'> & Record<'list' | 'contracted' | 'effective', string>;

const KNOWN_PRICES = `(select count(*) from price p where p.offering_id = s.offering_id and p.state = 'believed')`;

const OPEN_NODES = `
  select m.node_id as "nodeId", m.closed_until as "closedUntil", m.capacity_until as "capacityUntil", m.sampled_through as "sampledThrough",
    c.changed
  from metered_node m
    cross join lateral (select exists (select from node_shape s where s.node_id = m.node_id and s.prices <> ${KNOWN_PRICES}) as changed) c
  where (m.capacity_until is null or m.capacity_until >= $1) and (not m.ended or c.changed) order by m.node_id`;

const NODES = `
  select m.node_id as "nodeId", m.cluster_id as "clusterId", m.name, m.capacity_from as "capacityFrom", m.capacity_until as "capacityUntil",
    (select jsonb_agg(jsonb_build_object('at', s.at, 'cpu', s.cpu_milli, 'memory', s.memory_mib, 'gpu', s.gpu_milli, 'unitPrices', s.unit_prices,
      'offeringId', s.offering_id, 'seen', s.prices) order by s.n) from node_shape s where s.node_id = m.node_id) as shapes
  from metered_node m where m.node_id = any ($1::uuid[]) order by m.node_id`;

const PRICES = `
  select id, offering_id as "offeringId", list::text as list, contracted::text as contracted, effective::text as effective,
    effective_from as "effectiveFrom", observed_at as "observedAt", source, state
  from price where state = 'believed' and offering_id = any ($1::uuid[]) order by observed_at, id`;

/** A replica is where it was placed last until its life ends; of other pods only the placement itself is known. */
const PLACEMENTS = `
  select x.* from (
    select p.node_id as "nodeId", p.pod_id as "podId", p.placed_from as "from", p.placed_until as until, lead(p.placed_from) over w as next,
      row_number() over w = 1 as first, p.cpu_milli as cpu, p.memory_mib as memory, p.gpu_milli as gpu, r.id is not null as "isReplica",
      case when r.id is null then p.placed_until else coalesce(lead(p.placed_from) over w, r.capacity_until) end as ends
    from node_placement p left join replica r on r.id = p.pod_id
    where p.pod_id in (select q.pod_id from node_placement q left join replica l on l.id = q.pod_id where q.node_id = any ($1::uuid[])
      and case when l.id is null then q.placed_until is null or q.placed_until > $2 else l.capacity_until is null or l.capacity_until > $2 end)
    window w as (partition by p.pod_id order by p.placed_from)) x
  where x."nodeId" = any ($1::uuid[]) and (x.first or x."from" < $3) and (x.ends is null or x.ends > $2)
  order by x."podId", x."from"`;

const USE = `
  select pod_id as "podId", minute, cpu_us as "cpuUs", cpu_ms as "cpuMs", memory_mib as "memoryMib", memory_samples as "memorySamples"
  from pod_use where pod_id = any ($1::uuid[]) and minute >= $2 and minute < $3`;

/** Nodes in PostgreSQL, as the ledger needs them. */
export class NodeCostRepository implements NodeCostStore {
  openNodes(tx: Transaction, since: Instant): Promise<NodeProgress[]> {
    return sqlOf(tx).query<NodeProgress>(OPEN_NODES, [since]);
  }

  async anyOpen(tx: Transaction, { to }: Span): Promise<boolean> {
    const text = `select 1 from metered_node where not ended and closed_until < $1 limit 1`;
    return (await sqlOf(tx).query(text, [to])).length > 0;
  }

  queuedNodes(tx: Transaction, limit: number): Promise<{ nodeId: Id; minutes: Instant[] }[]> {
    return sqlOf(tx).query(
      `select node_id as "nodeId", jsonb_agg(minute order by minute) as minutes
        from (select node_id, minute from node_restatement order by node_id, minute limit $1) x group by node_id order by node_id`,
      [limit],
    );
  }

  async lockNode(tx: Transaction, nodeId: Id): Promise<MeteredNode | null> {
    // Not `for update`: whoever writes a row that refers to the node need not wait.
    const [row] = await sqlOf(tx).query<MeteredNode>(
      `select node_id as "nodeId", closed_until as "closedUntil", ended from metered_node where node_id = $1 for no key update`,
      [nodeId],
    );
    return row ?? null;
  }

  async costedNodes(tx: Transaction, nodeIds: readonly Id[], range: Span): Promise<CostedNode[]> {
    if (nodeIds.length === 0) return [];
    const sql = sqlOf(tx);
    const ids = `{${nodeIds.join(',')}}`;
    const nodes = await sql.query<NodeRow>(NODES, [ids]);
    const offerings = [...new Set(nodes.flatMap(({ shapes }) => shapes.flatMap(({ offeringId }) => offeringId ?? [])))];
    const prices = (await sql.query<PriceJson>(PRICES, [`{${offerings.join(',')}}`])).map(toPrice);
    const placements = await sql.query<PlacementRow>(PLACEMENTS, [ids, range.from, range.to]);
    const podIds = [...new Set(placements.map(({ podId }) => podId))];
    const use = await sql.query<UseRow>(USE, [`{${podIds.join(',')}}`, range.from, range.to]);
    const facts: Facts = {
      prices: Map.groupBy(prices, ({ offeringId }) => offeringId),
      placements: Map.groupBy(placements, ({ nodeId }) => nodeId),
      use: Map.groupBy(use, ({ podId }) => podId),
    };
    return nodes.map((node) => toCostedNode(node, facts, range));
  }

  async nodesOf(tx: Transaction, replicaIds: readonly Id[]): Promise<ReadonlyMap<Id, Id>> {
    const rows = await sqlOf(tx).query<{ id: Id; nodeId: Id }>(
      `select distinct on (pod_id) pod_id as id, node_id as "nodeId" from node_placement where pod_id = any ($1::uuid[])
        order by pod_id, placed_from desc`,
      [`{${replicaIds.join(',')}}`],
    );
    return new Map(rows.map(({ id, nodeId }) => [id, nodeId]));
  }

  bookedNodeLines(
    tx: Transaction,
    nodeId: Id,
    minutes: readonly Instant[],
  ): Promise<ReadonlyMap<Instant, ReadonlyMap<Id, BookedLine[]>>> {
    return bookedNodeLines(tx, nodeId, minutes);
  }

  async saveNode(tx: Transaction, node: MeteredNode, prices: CostedNode['prices']): Promise<void> {
    const sql = sqlOf(tx);
    const text = `update metered_node set closed_until = $2, ended = $3 where node_id = $1 and (closed_until, ended) is distinct from ($2, $3)`;
    await sql.execute(text, [node.nodeId, node.closedUntil, node.ended]);
    const news = prices.flatMap(({ known, seen }, n) => (known === seen ? [] : [{ n, known }]));
    if (news.length === 0) return;
    await sql.execute(
      `update node_shape s set prices = x.known from jsonb_to_recordset($2::jsonb) as x(n integer, known integer)
        where s.node_id = $1 and s.n = x.n`,
      [node.nodeId, JSON.stringify(news)],
    );
  }

  async queueNode(tx: Transaction, nodeId: Id, { from, to }: Span): Promise<void> {
    await sqlOf(tx).execute(
      `insert into node_restatement (node_id, minute)
        select $1, x.minute from generate_series($2::bigint / 60000 * 60000, $3::bigint - 60000, 60000) as x(minute) on conflict do nothing`,
      [nodeId, from, to],
    );
  }

  async dropNodeRestatements(tx: Transaction, nodeId: Id, minutes: readonly Instant[]): Promise<void> {
    if (minutes.length === 0) return;
    await sqlOf(tx).execute(`delete from node_restatement where node_id = $1 and minute = any ($2::bigint[])`, [
      nodeId,
      `{${minutes.join(',')}}`,
    ]);
  }

  pruneUse(tx: Transaction, before: Instant, limit: number): Promise<number> {
    return sqlOf(tx).execute(
      `delete from pod_use where (pod_id, minute) in (select pod_id, minute from pod_use where minute < $1 limit $2)`,
      [before, limit],
    );
  }
}

interface Facts {
  readonly prices: ReadonlyMap<Id, readonly PriceRow[]>;
  readonly placements: ReadonlyMap<Id, readonly PlacementRow[]>;
  readonly use: ReadonlyMap<Id, readonly UseRow[]>;
}

function toCostedNode({ shapes, ...node }: NodeRow, { prices, placements, use }: Facts, range: Span): CostedNode {
  const rowsOf = (offeringId: Id | null): readonly PriceRow[] => (offeringId === null ? [] : (prices.get(offeringId) ?? []));
  const pods = Map.groupBy(placements.get(node.nodeId) ?? [], ({ podId }) => podId);
  return {
    ...node,
    shapes: shapes.map(({ at, unitPrices, offeringId, ...shape }): NodeShape => ({
      at,
      unitPrices,
      offeringId,
      capacity: toQuantities(shape),
      steps: stepsOf(rowsOf(offeringId), range),
    })),
    pods: [...pods].map(([podId, rows]): PlacedPod => ({
      podId,
      isReplica: rows.some(({ isReplica }) => isReplica),
      placements: rows.map((row) => ({ ...stretchOf(row), requests: toQuantities(row) })),
      use: new Map((use.get(podId) ?? []).map((row) => [row.minute, averageUse(row)])),
    })),
    prices: shapes.map(({ offeringId, seen }) => ({ known: rowsOf(offeringId).length, seen })),
    news: shapes.flatMap(({ at, offeringId, seen }, n) =>
      rowsOf(offeringId)
        .slice(seen)
        .map(({ effectiveFrom }) => (n === 0 ? effectiveFrom : Math.max(at, effectiveFrom))),
    ),
  };
}

const stretchOf = ({ isReplica, first, from, until, next }: PlacementRow): Span =>
  isReplica ? { from: first ? 0 : from, to: next ?? Infinity } : { from, to: until ?? Infinity };

function stepsOf(rows: readonly PriceRow[], { from, to }: Span): RatedStep[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return believedSteps(rows, from, to).flatMap(({ priceId, ...step }) => {
    const row = byId.get(priceId);
    return row
      ? [{ from: step.from, to: step.to, priceId, list: row.list, contracted: row.contracted, effective: row.effective }]
      : [];
  });
}

const toPrice = (row: PriceJson): PriceRow => ({
  ...row,
  list: BigInt(row.list),
  contracted: BigInt(row.contracted),
  effective: BigInt(row.effective),
});

const toQuantities = ({ cpu, memory, gpu }: QuantityColumns): Quantities => ({ cpuMilli: cpu, memoryMib: memory, gpuMilli: gpu });
