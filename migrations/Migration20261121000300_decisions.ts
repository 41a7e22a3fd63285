import { Migration } from '@mikro-orm/migrations';
import { tenantTable } from './rls.ts';

/** What was decided and why; and plans that were shown, kept for ten minutes so that they can be executed by hash. */
export class Migration20261121000300_decisions extends Migration {
  override up(): void {
    this.addSql(`
      create table decision (
        id uuid primary key,
        team_id uuid not null,
        project_id uuid not null,
        deployment_id uuid,
        kind text not null,
        subject_kind text not null,
        subject_id uuid not null,
        at bigint not null,
        principal text not null,
        inputs jsonb not null,
        candidates jsonb not null,
        rejected jsonb not null,
        chosen jsonb,
        reasons jsonb not null,
        expected_hourly numeric(38, 0),
        expected_saving numeric(38, 0),
        realised_saving numeric(38, 0)
      );
      create index on decision (subject_id, id desc);
      create index on decision (project_id, id desc);
      create table stored_plan (
        hash text not null,
        principal_id uuid not null,
        team_id uuid not null,
        project_id uuid not null,
        mutation text not null,
        plan jsonb not null,
        created_at bigint not null,
        expires_at bigint not null,
        primary key (hash, principal_id)
      );
    `);
    for (const table of ['decision', 'stored_plan']) this.addSql(tenantTable(table));
  }
}
