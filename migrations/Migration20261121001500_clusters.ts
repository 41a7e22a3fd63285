import { Migration } from '@mikro-orm/migrations';

/** Registered clusters: how each is reached (never a secret), what its loop saw of it, and what administrators asked of it. */
export class Migration20261121001500_clusters extends Migration {
  override up(): void {
    this.addSql(`
      alter table cluster
        add column row_version integer not null default 1,
        add column held_removals jsonb,
        add column approved_removals jsonb,
        add column rebuilds integer not null default 0,
        add column rebuilt integer not null default 0;
      update cluster set row_version = version;
      alter table cluster drop constraint cluster_name_key;
      create unique index cluster_name on cluster (name) where removed_at is null;
      alter table cluster_history
        add column config jsonb,
        add column removed boolean not null default false;
      alter table workload
        add column seen_generation integer,
        add column seen_problem jsonb;
    `);
  }
}
