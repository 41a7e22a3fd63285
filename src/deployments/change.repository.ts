import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { ChangeStore, News } from './change-store.port.ts';

/** The event log in PostgreSQL, as loops look at it. */
export class ChangeRepository implements ChangeStore {
  async newsSince(tx: Transaction, since: Pick<News, 'epoch' | 'position'> | null): Promise<News> {
    const [head = { epoch: '0-0', position: 0 }] = await sqlOf(tx).query<{ epoch: string; position: number }>(HEAD);
    if (since?.epoch !== head.epoch) return { ...head, clusterIds: null };
    if (since.position === head.position) return { ...head, clusterIds: new Set() };
    const [about] = await sqlOf(tx).query<{ anything: boolean | null; clusters: Id[] | null }>(ABOUT, [since.position]);
    return { ...head, clusterIds: (about?.anything ?? true) ? null : new Set(about?.clusters ?? []) };
  }
}

const HEAD = `select coalesce(e.system_identifier, '0') || '-' || h.epoch as epoch, h.position
  from event_head h left join event_epoch e on e.epoch = h.epoch`;

/** A deployment that has no workload yet, or none any more, may come to any cluster. */
const ABOUT = `
  select bool_or(news.id is null or w.cluster_id is null) as anything, array_agg(distinct w.cluster_id) as clusters
  from (select distinct deployment_id as id from event where position > $1) news
  left join workload w on w.deployment_id = news.id and w.gone_at is null`;
