import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { appendHistory } from '../persistence/history.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { Deployment, DeploymentSpec } from './deployment.ts';
import type { DeploymentRef, DeploymentsQuestion, DeploymentStore, HeldCapacity } from './deployment-store.port.ts';
import type { ReplicaChange } from './observe-replicas.ts';
import type { Replica, Workload } from './replica.ts';
import type { Revision } from './revision.ts';
import type { Rollout } from './rollout.ts';

type StoredSpec = Omit<DeploymentSpec, 'maxSpendPerHour'> & { readonly maxSpendPerHour: string };
type DeploymentRow = Omit<Deployment, 'spec'> & { readonly spec: StoredSpec };

const DEPLOYMENT = `select d.id, d.team_id as "teamId", d.project_id as "projectId", t.name as "teamName", p.name as "projectName", d.name, d.spec,
  d.generation, d.version, d.observed_generation as "observedGeneration", d.phase, d.conditions, d.created_at as "createdAt",
  d.created_by as "createdBy", d.updated_at as "updatedAt", d.deleted_at as "deletedAt", d.gone_at as "goneAt"
  from deployment d join project p on p.id = d.project_id join team t on t.id = d.team_id`;
const REVISION = `select r.id, r.team_id as "teamId", r.project_id as "projectId", r.deployment_id as "deploymentId", r.number, r.model_id as "modelId",
  r.model_version_id as "modelVersionId", r.spec, r.concurrency, r.created_at as "createdAt", r.created_by as "createdBy" from revision r`;
const ROLLOUT = `select o.id, o.team_id as "teamId", o.project_id as "projectId", o.deployment_id as "deploymentId", o.from_revision_id as "fromRevisionId",
  o.to_revision_id as "toRevisionId", r.number as "toRevision", o.from_weights as "fromWeights", o.state, o.step, o.step_started_at as "stepStartedAt",
  o.reason, o.started_at as "startedAt", o.ended_at as "endedAt", o.version from rollout o join revision r on r.id = o.to_revision_id`;
const WORKLOAD = `select w.id, w.team_id as "teamId", w.project_id as "projectId", w.deployment_id as "deploymentId", w.revision_id as "revisionId",
  w.cluster_id as "clusterId", c.name as "clusterName", w.pool_id as "poolId", p.name as "poolName", p.capacity_type as "capacityType", p.node_selector as "nodeSelector", w.offering_id as "offeringId", w.per_machine as "perMachine", w.replicas, w.generation,
  w.created_at as "createdAt", w.removed_at as "removedAt", w.gone_at as "goneAt", w.seen_generation as "seenGeneration", w.seen_problem as "seenProblem"
  from workload w join pool p on p.id = w.pool_id join cluster c on c.id = w.cluster_id`;
const REPLICA = `select id, team_id as "teamId", project_id as "projectId", deployment_id as "deploymentId", revision_id as "revisionId",
  workload_id as "workloadId", cluster_id as "clusterId", offering_id as "offeringId", state, address, capacity_from as "capacityFrom",
  capacity_until as "capacityUntil", until_estimated as "untilEstimated", observed_at as "observedAt", last_evidence_at as "lastEvidenceAt",
  restarts, message, transitions, state_since as "stateSince" from replica`;
const PATH = `t.name || '/' || p.name || '/' || d.name`;

const toDeployment = (row: DeploymentRow): Deployment => ({
  ...row,
  spec: { ...row.spec, maxSpendPerHour: BigInt(row.spec.maxSpendPerHour) },
});
const storedSpec = (spec: DeploymentSpec): StoredSpec => ({ ...spec, maxSpendPerHour: spec.maxSpendPerHour.toString() });

/** Deployments in PostgreSQL; row-level security narrows every statement to the transaction's scope. */
export class DeploymentRepository implements DeploymentStore {
  async deployment(tx: Transaction, by: DeploymentRef): Promise<Deployment | null> {
    const [row] =
      'id' in by
        ? await select(tx, `${DEPLOYMENT} where d.id = $1 and d.gone_at is null`, [by.id])
        : await select(tx, `${DEPLOYMENT} where t.name = $1 and p.name = $2 and d.name = $3 and d.gone_at is null`, [
            by.teamName,
            by.projectName,
            by.name,
          ]);
    return row ?? null;
  }

  async lockDeployment(tx: Transaction, id: Id): Promise<Deployment | null> {
    const [row] = await select(tx, `${DEPLOYMENT} where d.id = $1 and d.gone_at is null for update of d`, [id]);
    return row ?? null;
  }

  async lockTeam(tx: Transaction, teamId: Id): Promise<void> {
    await sqlOf(tx).query(`select pg_advisory_xact_lock(hashtextextended('deployments/' || $1, 0))::text`, [teamId]);
  }

  deployments(
    tx: Transaction,
    { projectId, phases, nameContains, visible, after, limit }: DeploymentsQuestion,
  ): Promise<Deployment[]> {
    return select(
      tx,
      `${DEPLOYMENT} where d.gone_at is null and ($1::uuid is null or d.project_id = $1) and ($2::text[] is null or d.phase = any ($2))
         and ($3::text is null or position($3 in d.name) > 0) and ($4::uuid[] is null or d.team_id = any ($4) or d.project_id = any ($5::uuid[]))
         and ($6::text is null or ${PATH} > $6) order by ${PATH} limit $7`,
      [projectId, phases, nameContains, visible?.teamIds ?? null, visible?.projectIds ?? [], after, limit + 1],
    );
  }

  deploymentsByIds(tx: Transaction, ids: readonly Id[]): Promise<Deployment[]> {
    return select(tx, `${DEPLOYMENT} where d.id = any ($1::uuid[]) and d.gone_at is null`, [ids]);
  }

  async deploymentsOf(tx: Transaction, of: { readonly modelIds?: readonly Id[]; readonly versionIds?: readonly Id[] }) {
    const column = of.modelIds ? 'r.model_id' : 'r.model_version_id';
    const rows = await sqlOf(tx).query<DeploymentRow & { readonly key: Id }>(
      `select distinct on (${column}, d.id) ${column} as key, d.* from (${DEPLOYMENT} where d.gone_at is null) d
       join revision r on r.deployment_id = d.id join workload w on w.revision_id = r.id and w.removed_at is null
       where ${column} = any ($1::uuid[]) order by ${column}, d.id desc`,
      [of.modelIds ?? of.versionIds ?? []],
    );
    return rows.map(({ key, ...row }) => ({ key, deployment: toDeployment(row) }));
  }

  deploymentsOn(tx: Transaction, clusterId: Id): Promise<Deployment[]> {
    return select(
      tx,
      `${DEPLOYMENT} where d.gone_at is null and exists (select 1 from workload w where w.deployment_id = d.id and w.cluster_id = $1) order by d.id`,
      [clusterId],
    );
  }

  liveDeployments(tx: Transaction): Promise<Deployment[]> {
    return select(tx, `${DEPLOYMENT} where d.deleted_at is null order by d.id`, []);
  }

  deletedSince(tx: Transaction, since: Instant) {
    return sqlOf(tx).query<{ deploymentId: Id; at: Instant }>(
      `select id as "deploymentId", deleted_at as at from deployment where deleted_at >= $1 order by id`,
      [since],
    );
  }

  async insertDeployment(tx: Transaction, row: Deployment): Promise<void> {
    await sqlOf(tx).execute(
      `insert into deployment (id, team_id, project_id, name, spec, generation, version, observed_generation, phase, conditions, created_at,
         created_by, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
      [
        ...[
          row.id,
          row.teamId,
          row.projectId,
          row.name,
          JSON.stringify(storedSpec(row.spec)),
          row.generation,
          row.version,
          row.observedGeneration,
        ],
        ...[row.phase, JSON.stringify(row.conditions), row.createdAt, row.createdBy, row.updatedAt],
      ],
    );
  }

  async updateDeployment(tx: Transaction, row: Deployment, expected: number): Promise<boolean> {
    const changed = await sqlOf(tx).execute(
      `update deployment set spec = $2, generation = $3, version = $4, observed_generation = $5, phase = $6, conditions = $7, updated_at = $8,
         deleted_at = $9, gone_at = $10 where id = $1 and version = $11`,
      [
        ...[row.id, JSON.stringify(storedSpec(row.spec)), row.generation, row.version, row.observedGeneration, row.phase],
        ...[JSON.stringify(row.conditions), row.updatedAt, row.deletedAt, row.goneAt, expected],
      ],
    );
    return changed === 1;
  }

  appendWish(tx: Transaction, row: Deployment, principal: string): Promise<void> {
    const spec = row.deletedAt === null ? storedSpec(row.spec) : null;
    const key = { deployment_id: row.id, generation: row.generation, team_id: row.teamId };
    return appendHistory(tx, 'deployment_history', { ...key, spec, valid_from: row.updatedAt, principal });
  }

  revisions(tx: Transaction, deploymentIds: readonly Id[]): Promise<Revision[]> {
    return sqlOf(tx).query<Revision>(`${REVISION} where r.deployment_id = any ($1::uuid[]) order by r.deployment_id, r.number`, [
      deploymentIds,
    ]);
  }

  revisionsByIds(tx: Transaction, ids: readonly Id[]): Promise<Revision[]> {
    return sqlOf(tx).query<Revision>(`${REVISION} where r.id = any ($1::uuid[])`, [ids]);
  }

  clusterNames(tx: Transaction, ids: readonly Id[]): Promise<{ id: Id; name: string }[]> {
    return sqlOf(tx).query<{ id: Id; name: string }>(`select id, name from cluster where id = any ($1::uuid[])`, [ids]);
  }

  async insertRevision(tx: Transaction, row: Revision): Promise<void> {
    await sqlOf(tx).execute(
      `insert into revision (id, team_id, project_id, deployment_id, number, model_id, model_version_id, spec, concurrency, created_at, created_by)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      [
        ...[row.id, row.teamId, row.projectId, row.deploymentId, row.number, row.modelId, row.modelVersionId],
        ...[JSON.stringify(row.spec), row.concurrency, row.createdAt, row.createdBy],
      ],
    );
  }

  rollouts(tx: Transaction, deploymentIds: readonly Id[]): Promise<Rollout[]> {
    return sqlOf(tx).query<Rollout>(
      `select o.* from unnest($1::uuid[]) as wanted (id) cross join lateral
         (${ROLLOUT} where o.deployment_id = wanted.id order by o.started_at desc, o.id desc limit 1) o`,
      [deploymentIds],
    );
  }

  async saveRollout(tx: Transaction, row: Rollout, principal: string): Promise<void> {
    await sqlOf(tx).execute(
      `insert into rollout (id, team_id, project_id, deployment_id, from_revision_id, to_revision_id, from_weights, state, step, step_started_at,
         reason, started_at, ended_at, version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
       on conflict (id) do update set state = excluded.state, step = excluded.step, step_started_at = excluded.step_started_at,
         reason = excluded.reason, ended_at = excluded.ended_at, version = excluded.version`,
      [
        ...[
          row.id,
          row.teamId,
          row.projectId,
          row.deploymentId,
          row.fromRevisionId,
          row.toRevisionId,
          JSON.stringify(row.fromWeights),
        ],
        ...[row.state, row.step, row.stepStartedAt, row.reason, row.startedAt, row.endedAt, row.version],
      ],
    );
    const key = { rollout_id: row.id, generation: row.version, team_id: row.teamId };
    const state = { state: row.state, step: row.step, ended: String(row.endedAt !== null) };
    await appendHistory(tx, 'rollout_history', { ...key, ...state, valid_from: row.stepStartedAt, principal });
  }

  workloads(tx: Transaction, deploymentIds: readonly Id[], on?: { readonly except: Id }): Promise<Workload[]> {
    return sqlOf(tx).query<Workload>(
      `${WORKLOAD} where w.deployment_id = any ($1::uuid[]) and w.gone_at is null and ($2::uuid is null or w.cluster_id <> $2) order by w.id`,
      [deploymentIds, on?.except ?? null],
    );
  }

  workloadsOn(tx: Transaction, clusterId: Id): Promise<Workload[]> {
    return sqlOf(tx).query<Workload>(`${WORKLOAD} where w.cluster_id = $1 and w.gone_at is null order by w.id`, [clusterId]);
  }

  async saveWorkload(tx: Transaction, row: Workload): Promise<void> {
    await sqlOf(tx).execute(
      `insert into workload (id, team_id, project_id, deployment_id, revision_id, cluster_id, pool_id, offering_id, replicas, generation, created_at,
         removed_at, gone_at, seen_generation, seen_problem, per_machine) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
       on conflict (id) do update set replicas = excluded.replicas, per_machine = excluded.per_machine, generation = excluded.generation, removed_at = excluded.removed_at,
         gone_at = excluded.gone_at, seen_generation = excluded.seen_generation, seen_problem = excluded.seen_problem`,
      [
        ...[row.id, row.teamId, row.projectId, row.deploymentId, row.revisionId, row.clusterId, row.poolId, row.offeringId],
        ...[row.replicas, row.generation, row.createdAt, row.removedAt, row.goneAt, row.seenGeneration],
        row.seenProblem && JSON.stringify(row.seenProblem),
        row.perMachine ?? 1,
      ],
    );
  }

  async startMs(tx: Transaction, modelVersionId: Id): Promise<number | null> {
    const [row] = await sqlOf(tx).query<{ ms: number | null }>(START_OF_VERSION, [modelVersionId, MAX_STARTS]);
    return row?.ms ?? null;
  }

  async machinesIn(tx: Transaction, poolIds: readonly Id[]): Promise<ReadonlyMap<Id, number>> {
    const text = `select pool as "poolId", machines from purser_pool_machines($1::uuid[])`;
    const rows = await sqlOf(tx).query<{ poolId: Id; machines: number }>(text, [poolIds]);
    return new Map(rows.map(({ poolId, machines }) => [poolId, machines]));
  }

  heldCapacity(tx: Transaction, teamId: Id, except: Id | null): Promise<HeldCapacity[]> {
    return sqlOf(tx).query<HeldCapacity>(
      `select project_id as "projectId", offering_id as "offeringId", sum(replicas)::integer as replicas,
         sum(ceil(replicas::numeric / per_machine))::integer as machines from workload
       where team_id = $1 and removed_at is null and ($2::uuid is null or deployment_id <> $2) group by project_id, offering_id`,
      [teamId, except],
    );
  }

  replicas(tx: Transaction, deploymentIds: readonly Id[]): Promise<Replica[]> {
    return sqlOf(tx).query<Replica>(
      `${REPLICA} where deployment_id = any ($1::uuid[]) and capacity_until is null order by capacity_from, id`,
      [deploymentIds],
    );
  }

  replicasOn(tx: Transaction, clusterId: Id, since: Instant): Promise<Replica[]> {
    return sqlOf(tx).query<Replica>(
      `${REPLICA} where cluster_id = $1 and (capacity_until is null or capacity_until >= $2) order by id`,
      [clusterId, since],
    );
  }

  async replica(tx: Transaction, id: Id): Promise<Replica | null> {
    const [row] = await sqlOf(tx).query<Replica>(`${REPLICA} where id = $1`, [id]);
    return row ?? null;
  }

  replicasByIds(tx: Transaction, ids: readonly Id[]): Promise<Replica[]> {
    return sqlOf(tx).query<Replica>(`${REPLICA} where id = any ($1::uuid[])`, [ids]);
  }

  async saveReplicas(tx: Transaction, changes: readonly ReplicaChange[]): Promise<void> {
    if (changes.length === 0) return;
    await sqlOf(tx).execute(SAVE_REPLICAS, [JSON.stringify(changes.map(({ after }) => after))]);
    const transitions = changes.flatMap(({ after, appended }) =>
      appended.map((transition) => ({ ...transition, teamId: after.teamId })),
    );
    if (transitions.length > 0) await sqlOf(tx).execute(APPEND_TRANSITIONS, [JSON.stringify(transitions)]);
  }

  async everServed(tx: Transaction, replicaIds: readonly Id[]): Promise<ReadonlySet<Id>> {
    const rows = await sqlOf(tx).query<{ id: Id }>(
      `select distinct replica_id as id from replica_transition where replica_id = any ($1::uuid[]) and state = 'serving'`,
      [replicaIds],
    );
    return new Set(rows.map(({ id }) => id));
  }
}

/** Starts that say how long the next one takes. Higher: an image that got larger is felt late; lower: one slow node misleads. */
const MAX_STARTS = 20;

const START_OF_VERSION = `
  select percentile_disc(0.5) within group (order by s.ms) as ms from (
    select t.at - r.capacity_from as ms from revision v join replica r on r.deployment_id = v.deployment_id and r.revision_id = v.id
    join lateral (select at, estimated from replica_transition where replica_id = r.id and state = 'serving' order by n limit 1) t on true
    where v.model_version_id = $1 and not t.estimated order by r.capacity_from desc limit $2) s`;

async function select(tx: Transaction, text: string, values: readonly unknown[]): Promise<Deployment[]> {
  return (await sqlOf(tx).query<DeploymentRow>(text, values)).map(toDeployment);
}

const SAVE_REPLICAS = `
  insert into replica (id, team_id, project_id, deployment_id, revision_id, workload_id, cluster_id, offering_id, state, address, capacity_from,
    capacity_until, until_estimated, observed_at, last_evidence_at, restarts, message, transitions, state_since)
  select r.id, r."teamId", r."projectId", r."deploymentId", r."revisionId", r."workloadId", r."clusterId", r."offeringId", r.state, r.address,
    r."capacityFrom", r."capacityUntil", r."untilEstimated", r."observedAt", r."lastEvidenceAt", r.restarts, r.message, r.transitions, r."stateSince"
  from jsonb_to_recordset($1::jsonb) as r (id uuid, "teamId" uuid, "projectId" uuid, "deploymentId" uuid, "revisionId" uuid, "workloadId" uuid,
    "clusterId" uuid, "offeringId" uuid, state text, address text, "capacityFrom" bigint, "capacityUntil" bigint, "untilEstimated" boolean,
    "observedAt" bigint, "lastEvidenceAt" bigint, restarts integer, message text, transitions integer, "stateSince" bigint)
  on conflict (id) do update set state = excluded.state, address = excluded.address, capacity_until = excluded.capacity_until,
    until_estimated = excluded.until_estimated, observed_at = excluded.observed_at, last_evidence_at = excluded.last_evidence_at,
    restarts = excluded.restarts, message = excluded.message, transitions = excluded.transitions, state_since = excluded.state_since`;

const APPEND_TRANSITIONS = `
  insert into replica_transition (replica_id, n, team_id, at, state, estimated)
  select t."replicaId", t.n, t."teamId", t.at, t.state, t.estimated
  from jsonb_to_recordset($1::jsonb) as t ("replicaId" uuid, n integer, "teamId" uuid, at bigint, state text, estimated boolean)`;
