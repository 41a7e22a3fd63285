import type { Id } from '../kernel/id.ts';
import { HOUR_MS, type Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { AuditedHour } from './audit-ledger.ts';
import type { CostStore } from './cost-store.port.ts';
import type { LedgerAuditStore } from './ledger-audit-store.port.ts';

/** The ledger of one hour in four statements, summed by the database. */
export class LedgerAuditRepository implements LedgerAuditStore {
  readonly #costs: Pick<CostStore, 'costedReplicas'>;

  constructor(costs: Pick<CostStore, 'costedReplicas'>) {
    this.#costs = costs;
  }

  async hour(tx: Transaction, from: Instant): Promise<AuditedHour> {
    const sql = sqlOf(tx);
    const range = { from, to: from + HOUR_MS };
    const settled = await sql.query<{ id: Id; closedUntil: Instant }>(SETTLED, [range.from, range.to]);
    if (settled.length === 0) return { from, replicas: [], minutes: new Map(), hours: new Map() };
    const closedUntil = new Map(settled.map((row) => [row.id, row.closedUntil]));
    const replicas = await this.#costs.costedReplicas(tx, [...closedUntil.keys()], range);
    const minutes = await sql.query<{ id: Id; minute: Instant; sum: string; least: string }>(MINUTES, [range.from, range.to]);
    const hours = await sql.query<{ id: Id; sum: string }>(HOURS, [from]);
    return {
      from,
      replicas: replicas.map((replica) => ({ ...replica, closedUntil: closedUntil.get(replica.replicaId) ?? 0 })),
      minutes: new Map(
        [...Map.groupBy(minutes, ({ id }) => id)].map(([id, rows]) => [
          id,
          new Map(rows.map(({ minute, sum, least }) => [minute, { sum: BigInt(sum), least: BigInt(least) }])),
        ]),
      ),
      hours: new Map(hours.map(({ id, sum }) => [id, BigInt(sum)])),
    };
  }
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
    where kind = 'replica' and minute >= $1 and minute < $2 group by 1, 2, 3) x group by 1, 2`;

const HOURS = `select resource_id as id, sum(effective)::text as sum from ledger_hour where kind = 'replica' and hour = $1 group by 1`;
