import { Migration } from '@mikro-orm/migrations';
import { platformTable, tenantTable } from './rls.ts';

/** What providers refused, how fast pools grew and who holds them back, nodes that are being emptied, and what was lived through with spot. */
export class Migration20261121001900_capacity extends Migration {
  override up(): void {
    this.addSql(`
      create table capacity_answer (
        provider text not null,
        region text not null,
        zone text not null,
        instance_type text not null,
        capacity_type text not null check (capacity_type in ('on_demand', 'spot', 'reserved')),
        reason text not null check (reason in ('STOCK_OUT', 'QUOTA')),
        message text not null,
        refusals integer not null check (refusals > 0),
        since_at bigint not null,
        until_at bigint not null,
        primary key (provider, region, zone, instance_type, capacity_type)
      );
      create table pool_growth (
        pool_id uuid not null references pool,
        at bigint not null,
        nodes integer not null check (nodes > 0),
        hourly numeric(38, 0) check (hourly >= 0),
        refused boolean not null default false,
        primary key (pool_id, at)
      );
      create index on pool_growth (at);
      create table growth_hold (
        id uuid primary key,
        pool_id uuid references pool,
        held_at bigint not null,
        message text not null,
        released_at bigint,
        released_by text
      );
      create unique index growth_hold_open on growth_hold (coalesce(pool_id, '00000000-0000-0000-0000-000000000000')) where released_at is null;
      alter table pool_scaling add column emptying uuid, add column emptied_at bigint;
      alter table node add column noticed_replicas jsonb not null default '{}';
      create table spot_record (
        deployment_id uuid primary key references deployment,
        team_id uuid not null references team,
        record jsonb not null,
        version integer not null
      );
    `);
    for (const table of ['pool_growth', 'growth_hold']) this.addSql(platformTable(table));
    this.addSql(tenantTable('spot_record'));
  }
}
