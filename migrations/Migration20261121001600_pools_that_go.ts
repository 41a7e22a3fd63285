import { Migration } from '@mikro-orm/migrations';
import { appendOnly } from './rls.ts';

/** Pools can be changed and removed, with their history; decisions may be about what belongs to no team, such as a pool's size. */
export class Migration20261121001600_pools_that_go extends Migration {
  override up(): void {
    this.addSql(`
      alter table pool add column removed_at bigint;
      alter table pool drop constraint pool_cluster_id_name_key;
      create unique index pool_name on pool (cluster_id, name) where removed_at is null;
      create table pool_history (
        pool_id uuid not null references pool,
        generation integer not null,
        capacity_type text not null,
        offering_id uuid,
        node_selector jsonb not null,
        removed boolean not null,
        valid_from bigint not null,
        principal text not null,
        primary key (pool_id, generation)
      );
      insert into pool_history select id, version, capacity_type, offering_id, node_selector, false, created_at, 'reconciler:fleet' from pool;
      alter table decision alter column team_id drop not null, alter column project_id drop not null;
    `);
    this.addSql(appendOnly('pool_history'));
  }
}
