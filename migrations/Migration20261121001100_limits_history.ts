import { Migration } from '@mikro-orm/migrations';
import { appendOnly, tenantTable } from './rls.ts';

/** What limits and clusters were wished to be at any instant of the past. The forced policies would hide the present rows from the owner,
 * too: they are lifted for the copy. */
export class Migration20261121001100_limits_history extends Migration {
  override up(): void {
    this.addSql(`
      create table project_history (
        project_id uuid not null references project,
        generation integer not null,
        team_id uuid not null references team,
        max_replicas integer not null,
        max_spend_per_hour numeric(38, 0) not null,
        valid_from bigint not null,
        principal text not null,
        primary key (project_id, generation)
      );
      create table quota_history (
        quota_id uuid not null references quota,
        generation integer not null,
        team_id uuid not null references team,
        project_id uuid references project,
        resource text not null,
        maximum numeric(38, 0) not null,
        valid_from bigint not null,
        principal text not null,
        primary key (quota_id, generation)
      );
      create table cluster_history (
        cluster_id uuid not null references cluster,
        generation integer not null,
        machine_id text,
        cordoned boolean not null,
        valid_from bigint not null,
        principal text not null,
        primary key (cluster_id, generation)
      );
      alter table project no force row level security;
      alter table quota no force row level security;
      insert into project_history select id, version, team_id, max_replicas, max_spend_per_hour, created_at, 'migration' from project;
      insert into quota_history
        select id, version, team_id, project_id, resource, maximum, floor(extract(epoch from now()) * 1000), 'migration' from quota;
      insert into cluster_history select id, version, machine_id, cordoned, created_at, 'migration' from cluster;
      alter table project force row level security;
      alter table quota force row level security;
    `);
    for (const table of ['project_history', 'quota_history']) this.addSql(tenantTable(table));
    for (const table of ['project_history', 'quota_history', 'cluster_history']) this.addSql(appendOnly(table));
  }
}
