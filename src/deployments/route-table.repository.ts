import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { LogPosition, RouteTableStore } from './route-table-store.port.ts';

interface VersionRow {
  readonly n: number;
  readonly digest: string;
}

/** The route table's number in PostgreSQL. */
export class RouteTableRepository implements RouteTableStore {
  async position(tx: Transaction): Promise<LogPosition> {
    const [row] = await sqlOf(tx).query<LogPosition>(
      `select coalesce(e.system_identifier, '0') || '-' || h.epoch as epoch, h.position, exists (select 1 from outbox) as pending
       from event_head h left join event_epoch e on e.epoch = h.epoch`,
    );
    return row ?? { epoch: '0-0', position: 0, pending: false };
  }

  async version(tx: Transaction): Promise<VersionRow> {
    const [row] = await sqlOf(tx).query<VersionRow>(`select n, digest from route_table_version`);
    return row ?? { n: 0, digest: '' };
  }

  async lockVersion(tx: Transaction): Promise<VersionRow> {
    const [row] = await sqlOf(tx).query<VersionRow>(`select n, digest from route_table_version for update`);
    return row ?? { n: 0, digest: '' };
  }

  async saveVersion(tx: Transaction, { n, digest }: VersionRow): Promise<void> {
    await sqlOf(tx).execute(`update route_table_version set n = $1, digest = $2`, [n, digest]);
  }
}
