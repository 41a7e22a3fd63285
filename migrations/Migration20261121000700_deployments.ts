import { Migration } from '@mikro-orm/migrations';
import { appendOnly, tenantTable } from './rls.ts';

/** Deployments and their revisions, rollouts, workloads; replicas as observed, with every state they were ever in. */
export class Migration20261121000700_deployments extends Migration {
  override up(): void {
    this.addSql(TABLES);
    const tables = ['deployment', 'deployment_history', 'revision', 'rollout', 'workload', 'replica', 'replica_transition'];
    for (const table of tables) this.addSql(tenantTable(table));
    this.addSql(appendOnly('deployment_history') + appendOnly('replica_transition'));
  }
}

const TABLES = `
      create table deployment (
        id uuid primary key,
        team_id uuid not null references team,
        project_id uuid not null references project,
        name text not null,
        spec jsonb not null,
        generation integer not null,
        version integer not null,
        observed_generation integer not null default 0,
        phase text not null,
        conditions jsonb not null default '[]',
        created_at bigint not null,
        created_by text not null,
        updated_at bigint not null,
        deleted_at bigint,
        gone_at bigint
      );
      create unique index deployment_name on deployment (project_id, name) where gone_at is null;
      create table deployment_history (
        deployment_id uuid not null references deployment,
        generation integer not null,
        team_id uuid not null references team,
        spec jsonb,
        valid_from bigint not null,
        principal text not null,
        primary key (deployment_id, generation)
      );
      create table revision (
        id uuid primary key,
        team_id uuid not null references team,
        project_id uuid not null references project,
        deployment_id uuid not null references deployment,
        number integer not null,
        model_id uuid not null references model,
        model_version_id uuid not null references model_version,
        spec jsonb not null,
        concurrency integer not null check (concurrency >= 1),
        created_at bigint not null,
        created_by text not null,
        unique (deployment_id, number)
      );
      create table rollout (
        id uuid primary key,
        team_id uuid not null references team,
        project_id uuid not null references project,
        deployment_id uuid not null references deployment,
        from_revision_id uuid references revision,
        to_revision_id uuid not null references revision,
        from_weights jsonb not null default '[]',
        state text not null,
        step integer not null,
        step_started_at bigint not null,
        reason text,
        started_at bigint not null,
        ended_at bigint,
        version integer not null
      );
      create unique index rollout_active on rollout (deployment_id) where ended_at is null;
      create table workload (
        id uuid primary key,
        team_id uuid not null references team,
        project_id uuid not null references project,
        deployment_id uuid not null references deployment,
        revision_id uuid not null references revision,
        cluster_id uuid not null references cluster,
        pool_id uuid not null references pool,
        offering_id uuid not null references offering,
        replicas integer not null check (replicas >= 0),
        generation integer not null,
        created_at bigint not null,
        removed_at bigint,
        gone_at bigint
      );
      create unique index workload_slot on workload (revision_id, pool_id) where gone_at is null;
      create table replica (
        id uuid primary key,
        team_id uuid not null references team,
        project_id uuid not null references project,
        deployment_id uuid not null references deployment,
        revision_id uuid not null references revision,
        workload_id uuid not null references workload,
        cluster_id uuid not null references cluster,
        offering_id uuid not null references offering,
        state text not null,
        address text,
        capacity_from bigint not null,
        capacity_until bigint,
        until_estimated boolean not null default false,
        observed_at bigint not null,
        last_evidence_at bigint not null,
        restarts integer not null default 0,
        message text not null default '',
        transitions integer not null default 0,
        state_since bigint not null default 0
      );
      create index on replica (deployment_id);
      create index on replica (workload_id);
      create index on replica (capacity_until);
      create index on workload (deployment_id);
      create index on rollout (deployment_id, started_at desc);
      create index on workload (cluster_id) where gone_at is null;
      create table route_table_version (
        singleton boolean primary key default true check (singleton),
        n bigint not null,
        digest text not null
      );
      insert into route_table_version (n, digest) values (0, '');
      create table replica_transition (
        replica_id uuid not null references replica,
        n integer not null,
        team_id uuid not null references team,
        at bigint not null,
        state text not null check (state in ('starting', 'serving', 'unready', 'draining')),
        estimated boolean not null default false,
        primary key (replica_id, n)
      );
    `;
