import { Migration } from '@mikro-orm/migrations';
import { appendOnly } from './rls.ts';

/** Nodes as their clusters show them, and how pools grow and shrink. A node is its uid: one that comes back under its name is another. */
export class Migration20261121001350_nodes extends Migration {
  override up(): void {
    this.addSql(`
      drop table node;
      create table node (
        id uuid primary key,
        cluster_id uuid not null references cluster,
        pool_id uuid references pool,
        name text not null,
        provider text,
        instance_id text,
        region text,
        zone text,
        instance_type text,
        capacity_type text not null check (capacity_type in ('on_demand', 'spot', 'reserved')),
        offering_id uuid references offering,
        price_per_hour numeric(38, 0) check (price_per_hour >= 0),
        capacity jsonb not null,
        allocatable jsonb not null,
        from_at bigint not null,
        until_at bigint,
        until_estimated boolean not null default false,
        readiness text not null check (readiness in ('ready', 'not_ready', 'unknown')),
        readiness_since bigint not null,
        schedulable boolean not null,
        notice jsonb,
        releasing boolean not null,
        idle_since bigint,
        pods integer not null,
        observed_at bigint not null,
        version integer not null
      );
      create index on node (cluster_id, name) where until_at is null;
      create table pool_scaling (
        pool_id uuid primary key references pool,
        provider text not null,
        config jsonb not null,
        min_nodes integer not null check (min_nodes >= 0),
        max_nodes integer not null check (max_nodes >= min_nodes),
        desired_nodes integer,
        scaled_at bigint,
        conditions jsonb not null default '[]',
        version integer not null
      );
      create table pool_scaling_history (
        pool_id uuid not null references pool,
        generation integer not null,
        provider text not null,
        config jsonb not null,
        min_nodes integer not null,
        max_nodes integer not null,
        valid_from bigint not null,
        principal text not null,
        primary key (pool_id, generation)
      );
    `);
    this.addSql(appendOnly('pool_scaling_history'));
  }
}
