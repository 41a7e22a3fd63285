import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { ServedQuestion, ServedStore, ServingInterval } from './served-store.port.ts';

/** A state never begins before the one written earlier, and none outlives the slot. */
const SERVING = `
  with piece as (
    select v.model_version_id as version_id, r.deployment_id, t.state, r.capacity_until,
      greatest(max(t.at) over earlier, r.capacity_from) as since,
      lead(greatest(t.at, r.capacity_from)) over (partition by t.replica_id order by t.n) as until
    from revision v join replica r on r.revision_id = v.id join replica_transition t on t.replica_id = r.id
    where v.model_version_id = any ($1::uuid[]) window earlier as (partition by t.replica_id order by t.n)
  ), serving as (
    select version_id, deployment_id, unnest(range_agg(int8range(since, greatest(since, least(until, capacity_until))))) as span
    from piece where state = 'serving' group by version_id, deployment_id
  ), numbered as (
    select *, row_number() over (partition by version_id order by lower(span) desc, deployment_id) as place
    from serving where span && int8range($2, $3)
  )
  select n.version_id as "versionId", n.deployment_id as "deploymentId", d.team_id as "teamId", d.project_id as "projectId",
    t.name || '/' || p.name || '/' || d.name as "deploymentPath", lower(n.span) as "from", upper(n.span) as "to"
  from numbered n join deployment d on d.id = n.deployment_id join project p on p.id = d.project_id join team t on t.id = p.team_id
  where n.place <= $4 order by n.version_id, n.place`;

/** Serving intervals in PostgreSQL; row-level security narrows the statement to the transaction's scope. */
export class ServedRepository implements ServedStore {
  intervals(tx: Transaction, { versionIds, from, to, limit }: ServedQuestion): Promise<ServingInterval[]> {
    return sqlOf(tx).query<ServingInterval>(SERVING, [versionIds, from, to, limit]);
  }
}
