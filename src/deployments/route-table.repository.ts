import { logExtent } from '../events/read-events.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { LogPosition, RouteTableStore, TableVersion } from './route-table-store.port.ts';

/** The route table's number in PostgreSQL. */
export class RouteTableRepository implements RouteTableStore {
  position(tx: Transaction): Promise<LogPosition> {
    return logExtent(tx);
  }

  async version(tx: Transaction): Promise<TableVersion> {
    const [row] = await sqlOf(tx).query<TableVersion>(`select n, digest from route_table_version`);
    return row ?? { n: 0, digest: '' };
  }

  async saveVersion(tx: Transaction, { n, digest }: TableVersion): Promise<boolean> {
    const saved = await sqlOf(tx).execute(`update route_table_version set n = $1, digest = $2 where n = $1 - 1`, [n, digest]);
    return saved === 1;
  }

  async startsMs(tx: Transaction, deploymentIds: readonly Id[]): Promise<ReadonlyMap<Id, number>> {
    const rows = await sqlOf(tx).query<{ id: Id; ms: number }>(STARTS, [deploymentIds, MAX_STARTS]);
    return new Map(rows.map(({ id, ms }) => [id, ms]));
  }
}

/** Starts that say how long the next one takes. Higher: an image that got larger is felt late; lower: one slow node misleads. */
const MAX_STARTS = 20;

const STARTS = `
  select d.id, percentile_disc(0.5) within group (order by s.ms) as ms
  from unnest($1::uuid[]) as d (id) cross join lateral (
    select t.at - r.capacity_from as ms from replica r
    join lateral (select at, estimated from replica_transition where replica_id = r.id and state = 'serving' order by n limit 1) t on true
    where r.deployment_id = d.id and not t.estimated order by r.capacity_from desc limit $2) s
  group by d.id`;
