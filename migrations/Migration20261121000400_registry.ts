import { Migration } from '@mikro-orm/migrations';
import { appendOnly, tenantTable } from './rls.ts';

/** Models, immutable versions, aliases with their whole history, artifacts by (project, digest). */
export class Migration20261121000400_registry extends Migration {
  override up(): void {
    this.addSql(`
      create table model (
        id uuid primary key,
        team_id uuid not null references team,
        project_id uuid not null references project,
        name text not null,
        description text not null default '',
        version integer not null,
        created_at bigint not null,
        created_by text not null,
        unique (project_id, name)
      );
      create table artifact (
        project_id uuid not null references project,
        digest text not null,
        team_id uuid not null references team,
        size_bytes bigint,
        received_bytes bigint not null default 0,
        state text not null,
        created_at bigint not null,
        primary key (project_id, digest)
      );
      create table model_version (
        id uuid primary key,
        team_id uuid not null references team,
        project_id uuid not null references project,
        model_id uuid not null references model,
        number integer not null,
        format text not null,
        artifact_digest text,
        artifact_size_bytes bigint,
        signature jsonb,
        runtime jsonb not null,
        resources jsonb not null,
        lineage jsonb,
        created_at bigint not null,
        created_by text not null,
        archived_at bigint,
        unique (model_id, number)
      );
      create table model_alias (
        model_id uuid not null references model,
        name text not null,
        team_id uuid not null references team,
        version_id uuid not null references model_version,
        version integer not null,
        primary key (model_id, name)
      );
      create table model_alias_history (
        model_id uuid not null references model,
        name text not null,
        generation integer not null,
        team_id uuid not null references team,
        version_id uuid references model_version,
        valid_from bigint not null,
        principal text not null,
        primary key (model_id, name, generation)
      );
    `);
    for (const table of ['model', 'artifact', 'model_version', 'model_alias', 'model_alias_history'])
      this.addSql(tenantTable(table));
    this.addSql(appendOnly('model_alias_history'));
  }
}
