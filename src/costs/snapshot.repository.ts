import type { DeploymentSpec } from '../deployments/deployment.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { PastQuestion, SnapshotStore } from './snapshot-store.port.ts';
import type { PastAlias, PastReplica, PastRollout, PastWish } from './snapshot.ts';

type StoredWish = Omit<PastWish, 'spec'> & {
  readonly spec: Omit<DeploymentSpec, 'maxSpendPerHour'> & { readonly maxSpendPerHour: string };
};

const VISIBLE = (row: string): string =>
  `($2::uuid[] is null or ${row}.team_id = any ($2) or ${row}.project_id = any ($3::uuid[]))`;
const PATH = (row: string): string => `t.name || '/' || p.name || '/' || ${row}.name`;

const WISHES = `
  select d.id as "deploymentId", d.team_id as "teamId", d.project_id as "projectId", ${PATH('d')} as path, h.spec, h.generation,
    h.valid_from as "validFrom", h.principal
  from deployment d join project p on p.id = d.project_id join team t on t.id = d.team_id
    cross join lateral (select * from deployment_history h where h.deployment_id = d.id and h.valid_from <= $1
      order by h.valid_from desc, h.generation desc limit 1) h
  where d.created_at <= $1 and h.spec is not null and ${VISIBLE('d')} and ($4::text is null or ${PATH('d')} > $4)
  order by ${PATH('d')} limit $5`;

const ROLLOUTS = `
  select o.deployment_id as "deploymentId", o.from_weights as "fromWeights", r.number as "toRevision", h.state, h.step,
    case when h.ended then h.valid_from end as "endedAt"
  from unnest($1::uuid[]) as wanted (id)
    cross join lateral (select * from rollout o where o.deployment_id = wanted.id and o.started_at <= $2 order by o.started_at desc, o.id desc limit 1) o
    cross join lateral (select * from rollout_history h where h.rollout_id = o.id and h.valid_from <= $2
      order by h.valid_from desc, h.generation desc limit 1) h
    join revision r on r.id = o.to_revision_id`;

const REPLICAS = `
  select r.id, r.deployment_id as "deploymentId", r.revision_id as "revisionId", r.offering_id as "offeringId",
    concat_ws('/', o.provider, o.region, coalesce(nullif(o.zone, ''), '-'), o.instance_type, o.capacity_type) as offering,
    coalesce(s.state, 'starting') as state, r.capacity_from as "capacityFrom", r.capacity_until as "capacityUntil"
  from replica r join offering o on o.id = r.offering_id
    left join lateral (select state from replica_transition t where t.replica_id = r.id and t.at <= $2 order by t.n desc limit 1) s on true
  where r.deployment_id = any ($1::uuid[]) and r.capacity_from <= $2 and (r.capacity_until is null or r.capacity_until > $2)
  order by r.capacity_from, r.id`;

const ALIASES = `
  select m.id as "modelId", ${PATH('m')} as "modelPath", h.name, h.version_id as "versionId", h.valid_from as "validFrom", h.principal
  from (select distinct on (model_id, name) * from model_alias_history where valid_from <= $1
      order by model_id, name, valid_from desc, generation desc) h
    join model m on m.id = h.model_id join project p on p.id = m.project_id join team t on t.id = m.team_id
  where h.version_id is not null and ${VISIBLE('m')} and ($4::text is null or ${PATH('m')} || '@' || h.name > $4)
  order by ${PATH('m')} || '@' || h.name limit $5`;

/** The history twins in PostgreSQL; row-level security narrows every statement to the transaction's scope. */
export class SnapshotRepository implements SnapshotStore {
  async wishes(tx: Transaction, question: PastQuestion): Promise<PastWish[]> {
    const rows = await sqlOf(tx).query<StoredWish>(WISHES, valuesOf(question));
    return rows.map((row) => ({ ...row, spec: { ...row.spec, maxSpendPerHour: BigInt(row.spec.maxSpendPerHour) } }));
  }

  rollouts(tx: Transaction, deploymentIds: readonly Id[], instant: Instant): Promise<PastRollout[]> {
    return sqlOf(tx).query<PastRollout>(ROLLOUTS, [deploymentIds, instant]);
  }

  replicas(tx: Transaction, deploymentIds: readonly Id[], instant: Instant): Promise<PastReplica[]> {
    return sqlOf(tx).query<PastReplica>(REPLICAS, [deploymentIds, instant]);
  }

  aliases(tx: Transaction, question: PastQuestion): Promise<PastAlias[]> {
    return sqlOf(tx).query<PastAlias>(ALIASES, valuesOf(question));
  }
}

const valuesOf = ({ instant, visible, after, limit }: PastQuestion): unknown[] => [
  instant,
  visible?.teamIds ?? null,
  visible?.projectIds ?? [],
  after,
  limit + 1,
];
