import { Migration } from '@mikro-orm/migrations';

/** Clusters, their pools and nodes: platform-wide. */
export class Migration20261121000600_fleet extends Migration {
  override up(): void {
    this.addSql(`
      create table cluster (
        id uuid primary key,
        name text not null unique,
        kind text not null,
        machine_id text,
        config jsonb not null default '{}',
        cordoned boolean not null default false,
        version integer not null,
        created_at bigint not null,
        removed_at bigint,
        observed_at bigint,
        conditions jsonb not null default '[]'
      );
      create table pool (
        id uuid primary key,
        cluster_id uuid not null references cluster,
        name text not null,
        capacity_type text not null,
        offering_id uuid references offering,
        cpu_milli integer,
        memory_mib integer,
        version integer not null,
        created_at bigint not null,
        unique (cluster_id, name)
      );
      create table node (
        id uuid primary key,
        cluster_id uuid not null references cluster,
        pool_id uuid references pool,
        name text not null,
        cpu_milli integer not null,
        memory_mib integer not null,
        offering_id uuid references offering,
        observed_at bigint not null,
        unique (cluster_id, name)
      );
    `);
  }
}
