import type { Id } from '../kernel/id.ts';
import { HOUR_MS, type Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { AuditedHour, AuditedNodes } from './audit-ledger.ts';
import type { CostStore } from './cost-store.port.ts';
import type { LedgerAuditStore } from './ledger-audit-store.port.ts';
import { NO_NODE } from './ledger-lines.repository.ts';
import type { NodeCostStore } from './node-cost-store.port.ts';

interface MinuteSums {
  readonly id: Id;
  readonly minute: Instant;
  readonly sum: string;
  readonly least: string;
}

/** The ledger of one hour in four statements, summed by the database; nodes in a few more. */
export class LedgerAuditRepository implements LedgerAuditStore {
  readonly #costs: Pick<CostStore, 'costedReplicas'>;
  readonly #nodes: Pick<NodeCostStore, 'costedNodes'>;

  constructor(costs: Pick<CostStore, 'costedReplicas'>, nodes: Pick<NodeCostStore, 'costedNodes'>) {
    this.#costs = costs;
    this.#nodes = nodes;
  }

  async hour(tx: Transaction, from: Instant): Promise<AuditedHour> {
    const closedUntil = await this.#settled(tx, SETTLED, from);
    if (closedUntil.size === 0) return { from, replicas: [], ...NOTHING };
    const replicas = await this.#costs.costedReplicas(tx, [...closedUntil.keys()], { from, to: from + HOUR_MS });
    return {
      ...(await sumsOf(tx, from, { minutes: MINUTES, hours: HOURS })),
      replicas: replicas.map((replica) => ({ ...replica, closedUntil: closedUntil.get(replica.replicaId) ?? 0 })),
    };
  }

  async nodes(tx: Transaction, from: Instant): Promise<AuditedNodes> {
    const closedUntil = await this.#settled(tx, SETTLED_NODES, from);
    if (closedUntil.size === 0) return { from, nodes: [], ...NOTHING };
    const nodes = await this.#nodes.costedNodes(tx, [...closedUntil.keys()], { from, to: from + HOUR_MS });
    return {
      ...(await sumsOf(tx, from, { minutes: NODE_MINUTES, hours: NODE_HOURS })),
      nodes: nodes.map((node) => ({ ...node, closedUntil: closedUntil.get(node.nodeId) ?? 0 })),
    };
  }

  async #settled(tx: Transaction, statement: string, from: Instant): Promise<Map<Id, Instant>> {
    const rows = await sqlOf(tx).query<{ id: Id; closedUntil: Instant }>(statement, [from, from + HOUR_MS]);
    return new Map(rows.map((row) => [row.id, row.closedUntil]));
  }
}

const NOTHING = { minutes: new Map<never, never>(), hours: new Map<never, never>() };

async function sumsOf(
  tx: Transaction,
  from: Instant,
  statements: { readonly minutes: string; readonly hours: string },
): Promise<Omit<AuditedHour, 'replicas'>> {
  const minutes = await sqlOf(tx).query<MinuteSums>(statements.minutes, [from, from + HOUR_MS]);
  const hours = await sqlOf(tx).query<{ id: Id; sum: string }>(statements.hours, [from]);
  return {
    from,
    minutes: new Map(
      [...Map.groupBy(minutes, ({ id }) => id)].map(([id, rows]) => [
        id,
        new Map(rows.map(({ minute, sum, least }) => [minute, { sum: BigInt(sum), least: BigInt(least) }])),
      ]),
    ),
    hours: new Map(hours.map(({ id, sum }) => [id, BigInt(sum)])),
  };
}

const SETTLED = `
  select m.replica_id as id, m.closed_until as "closedUntil" from metered_replica m join replica r on r.id = m.replica_id
  where m.closed_until > $1 and r.capacity_from < $2 and (r.capacity_until is null or r.capacity_until > $1)
    and m.capacity_until is not distinct from r.capacity_until
    and m.transitions = (select count(*) from replica_transition t where t.replica_id = r.id)
    and m.prices = (select count(*) from price p where p.offering_id = r.offering_id and p.state = 'believed')
    and not exists (select from restatement x where x.replica_id = m.replica_id and x.minute >= $1 and x.minute < $2)`;

const MINUTES = `
  select id, minute, sum(net)::text as sum, min(net)::text as least from (
    select resource_id as id, minute, group_key, sum(effective) as net from ledger_line
    where kind = 'replica' and node_id = '${NO_NODE}' and minute >= $1 and minute < $2 group by 1, 2, 3) x group by 1, 2`;

const HOURS = `select resource_id as id, sum(effective)::text as sum from ledger_hour where kind = 'replica' and node_id = '${NO_NODE}' and hour = $1 group by 1`;

const SETTLED_NODES = `
  select m.node_id as id, m.closed_until as "closedUntil" from metered_node m
  where m.closed_until > $1 and m.capacity_from < $2 and (m.capacity_until is null or m.capacity_until > $1)
    and not exists (select from node_shape s where s.node_id = m.node_id
      and s.prices <> (select count(*) from price p where p.offering_id = s.offering_id and p.state = 'believed'))
    and not exists (select from node_restatement x where x.node_id = m.node_id and x.minute >= $1 and x.minute < $2)
    and not exists (select from node_placement y join replica r on r.id = y.pod_id left join metered_replica c on c.replica_id = r.id
      where y.node_id = m.node_id and r.capacity_from < $2 and (r.capacity_until is null or r.capacity_until > $1)
        and (c.replica_id is null or c.capacity_until is distinct from r.capacity_until
          or c.transitions <> (select count(*) from replica_transition t where t.replica_id = r.id)))`;

const NODE_MINUTES = `
  select id, minute, sum(net)::text as sum, min(net)::text as least from (
    select node_id as id, minute, resource_id, group_key, sum(effective) as net from ledger_line
    where node_id <> '${NO_NODE}' and minute >= $1 and minute < $2 group by 1, 2, 3, 4) x group by 1, 2`;

const NODE_HOURS = `select node_id as id, sum(effective)::text as sum from ledger_hour where node_id <> '${NO_NODE}' and hour = $1 group by 1`;
