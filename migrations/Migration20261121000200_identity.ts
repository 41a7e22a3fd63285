import { Migration } from '@mikro-orm/migrations';
import { tenantTable } from './rls.ts';

/** Teams (the tenant wall), projects, principals, their grants and tokens, quotas. */
export class Migration20261121000200_identity extends Migration {
  override up(): void {
    this.addSql(`
      create table team (
        id uuid primary key,
        team_id uuid generated always as (id) stored,
        name text not null unique,
        version integer not null,
        created_at bigint not null
      );
      create table project (
        id uuid primary key,
        team_id uuid not null references team,
        name text not null,
        max_replicas integer not null,
        max_spend_per_hour numeric(38, 0) not null,
        version integer not null,
        created_at bigint not null,
        unique (team_id, name)
      );
      create table principal (
        id uuid primary key,
        kind text not null,
        name text not null,
        team_id uuid references team,
        issuer text,
        subject text,
        platform_actions text[] not null default '{}',
        created_at bigint not null,
        disabled_at bigint,
        unique (issuer, subject)
      );
      create table role_grant (
        id uuid primary key,
        principal_id uuid not null references principal,
        role text not null,
        team_id uuid references team,
        project_id uuid references project,
        created_at bigint not null,
        unique nulls not distinct (principal_id, role, team_id, project_id)
      );
      create table token (
        id uuid primary key,
        principal_id uuid not null references principal,
        team_id uuid references team,
        type text not null,
        name text not null,
        hash bytea not null unique,
        hint text not null,
        scope jsonb,
        created_at bigint not null,
        expires_at bigint,
        revoked_at bigint
      );
      create table quota (
        id uuid primary key,
        team_id uuid not null references team,
        project_id uuid references project,
        resource text not null,
        maximum numeric(38, 0) not null,
        version integer not null,
        unique nulls not distinct (team_id, project_id, resource)
      );
      create index on role_grant (principal_id);
      create index on token (principal_id);
    `);
    for (const table of ['team', 'project', 'principal', 'role_grant', 'token', 'quota']) this.addSql(tenantTable(table));
  }
}
