import { Migration } from '@mikro-orm/migrations';

/** Offerings and the price book: facts about the market, the same for every team, so without tenant policies. */
export class Migration20261121000500_prices extends Migration {
  override up(): void {
    this.addSql(`
      create table region (
        provider text not null,
        region text not null,
        location text not null,
        latitude double precision,
        longitude double precision,
        zones text[] not null,
        primary key (provider, region)
      );
      create table offering (
        id uuid primary key,
        provider text not null,
        region text not null,
        zone text not null default '',
        instance_type text not null,
        capacity_type text not null check (capacity_type in ('on_demand', 'spot', 'reserved')),
        architecture text not null,
        cpu_milli integer not null,
        memory_mib integer,
        accelerator jsonb,
        interruption_band text,
        unique (provider, region, zone, instance_type, capacity_type)
      );
      create table price (
        id uuid primary key,
        offering_id uuid not null references offering,
        list numeric(38, 0) not null check (list >= 0),
        contracted numeric(38, 0) not null check (contracted >= 0),
        effective numeric(38, 0) not null check (effective >= 0),
        currency text not null default 'USD',
        effective_from bigint not null,
        observed_at bigint not null,
        source text not null,
        state text not null check (state in ('believed', 'quarantined')),
        reason text,
        principal text not null
      );
      create index on price (offering_id, effective_from, observed_at);
      create table price_book_load (
        digest text primary key,
        rows integer not null,
        loaded_at bigint not null
      );
    `);
  }
}
