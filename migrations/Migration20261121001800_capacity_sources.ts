import { Migration } from '@mikro-orm/migrations';

/** Where the pools of a cluster may rent machines, with its history; clusters that an operator gave up. */
export class Migration20261121001800_capacity_sources extends Migration {
  override up(): void {
    this.addSql(`
      alter table cluster
        add column capacity_sources jsonb not null default '[]',
        add column lost_at bigint;
      alter table cluster_history
        add column capacity_sources jsonb,
        add column lost boolean not null default false;
    `);
  }
}
