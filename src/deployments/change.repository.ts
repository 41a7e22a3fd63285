import { logExtent } from '../events/read-events.ts';
import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { ChangeStore, News } from './change-store.port.ts';

/** The event log in PostgreSQL, as loops look at it. */
export class ChangeRepository implements ChangeStore {
  async newsSince(tx: Transaction, since: News | null): Promise<News> {
    const head = await logExtent(tx);
    if (since?.epoch !== head.epoch) return { ...head, clusterIds: null, isInterrupted: true };
    if (since.committed === head.committed) return { ...head, clusterIds: new Set(), isInterrupted: false };
    const [about] = await sqlOf(tx).query<{ anything: boolean; interrupted: boolean; clusters: Id[] }>(ABOUT, [since.position]);
    const clusterIds = about?.anything ? null : new Set(about?.clusters);
    return { ...head, clusterIds, isInterrupted: about?.interrupted ?? false };
  }
}

/** Who writes what loops of clusters do. */
const LOOPS = 'reconciler:deployments';
/** Somebody will take a machine away. */
const NOTICE = 'node.interrupted';

/**
 * A deployment that has no workload yet, or none any more, may come to any cluster. What a loop did on the only cluster of a deployment is
 * news to no other, and it comes again by itself.
 */
const ABOUT = `
  with news as (
    select deployment_id as id, bool_or(principal <> '${LOOPS}') as wished, bool_or(type = '${NOTICE}') as interrupted
    from (select deployment_id, principal, type from event where position > $1 union all select deployment_id, principal, type from outbox) e
    group by deployment_id
  ), about as (
    select news.id, news.wished, news.interrupted, array_agg(distinct w.cluster_id) filter (where w.cluster_id is not null) as ids
    from news left join workload w on w.deployment_id = news.id and w.gone_at is null group by news.id, news.wished, news.interrupted
  )
  select coalesce(bool_or(id is null or (ids is null and wished)), false) as anything, coalesce(bool_or(interrupted), false) as interrupted,
    array(select distinct unnest(ids) from about where wished or cardinality(ids) > 1) as clusters
  from about`;
