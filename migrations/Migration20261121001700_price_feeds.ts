import { Migration } from '@mikro-orm/migrations';
import { platformTable } from './rls.ts';

const PLACES = `
  create table region_latency (
    from_provider text not null,
    from_region text not null,
    to_provider text not null,
    to_region text not null,
    rtt_us integer not null check (rtt_us >= 0),
    primary key (from_provider, from_region, to_provider, to_region)
  );
  create table zone_item (
    provider text not null,
    zone text not null,
    kind text not null check (kind in ('machine_type', 'accelerator', 'cpu_family')),
    name text not null,
    primary key (provider, zone, kind, name)
  );
`;

const FEEDS = `
  create table price_feed (
    id uuid primary key,
    name text not null unique,
    is_configured boolean not null default true,
    interval_ms bigint not null,
    stale_after_ms bigint not null,
    created_at bigint not null,
    attempted_at bigint,
    read_at bigint,
    as_of bigint,
    rows_by_region jsonb not null default '{}',
    rows integer not null default 0,
    quarantined integer not null default 0,
    unreadable jsonb not null default '[]',
    error_code text,
    error_message text,
    failures integer not null default 0,
    stale_since bigint,
    version integer not null default 1
  );
  create table price_claim (
    feed text not null references price_feed (name),
    offering_id uuid not null references offering,
    said text not null,
    amount numeric(38, 0),
    effective_from bigint,
    since bigint not null,
    code text,
    unconfirmed_since bigint,
    primary key (feed, offering_id)
  );
  create index on price_claim (offering_id);
  create table price_feed_silence (
    feed text not null references price_feed (name),
    since bigint not null,
    until bigint,
    primary key (feed, since)
  );
  create table quarantined_price (
    id uuid primary key,
    feed text not null references price_feed (name),
    offering_id uuid references offering,
    offering_key text not null,
    amount_text text not null,
    unit text not null,
    currency text not null,
    amount numeric(38, 0),
    effective_from bigint,
    code text not null,
    message text not null,
    observed_at bigint not null,
    state text not null default 'open' check (state in ('open', 'accepted', 'dismissed', 'withdrawn')),
    decided_at bigint,
    decided_by text
  );
  create unique index quarantined_price_open on quarantined_price (feed, offering_key) where state = 'open';
  create index on quarantined_price (offering_id);
  create index on price (offering_id, effective_from, observed_at)
    where principal not in ('reconciler:price-feeds', 'reconciler:price-agreements') and source not in ('override', 'override-cleared');
`;

const AGREEMENTS = `
  create table price_agreement (
    id uuid primary key,
    kind text not null check (kind in ('discount', 'reservation', 'savings_plan', 'own_hardware')),
    name text not null unique,
    spec jsonb not null,
    valid_from bigint not null,
    valid_until bigint,
    version integer not null,
    removed_at bigint
  );
  create table price_agreement_history (
    id uuid not null,
    generation integer not null,
    spec jsonb not null,
    valid_from bigint not null,
    principal text not null,
    primary key (id, generation)
  );
`;

/**
 * Who says prices, what each says now, what of it is not believed, and what was agreed with providers. Prices and feeds are facts about
 * the market, the same for every team; agreements are the platform's own.
 */
export class Migration20261121001700_price_feeds extends Migration {
  override up(): void {
    for (const statements of [PLACES, FEEDS, AGREEMENTS]) this.addSql(statements);
    this.addSql(platformTable('price_agreement'));
    this.addSql(platformTable('price_agreement_history'));
  }
}
