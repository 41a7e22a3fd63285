import { Migration } from '@mikro-orm/migrations';
import { appendOnly, tenantTable } from './rls.ts';

/** What a line names besides its amounts: whose it is and what it was spent on, as it was then. */
const DIMENSIONS = `
        kind text not null check (kind in
          ('replica', 'node_idle', 'shared', 'storage', 'egress', 'commitment', 'credit', 'tax', 'unallocated')),
        team_id uuid not null references team,
        project_id uuid not null references project,
        deployment_id uuid,
        revision_id uuid,
        model_id uuid,
        model_version_id uuid,
        cluster_id uuid,
        offering_id uuid,
        caller_team_id uuid,
        caller uuid,
        call_kind text,
        experiment text`;

const AMOUNTS = `
        ms bigint not null,
        list numeric(38, 0) not null,
        contracted numeric(38, 0) not null,
        effective numeric(38, 0) not null`;

const QUANTITIES = `
        busy_us bigint not null,
        attempts bigint not null,
        requests bigint not null,
        errors bigint not null,
        bytes_in bigint not null,
        bytes_out bigint not null,
        input_tokens bigint not null,
        output_tokens bigint not null,
        stamped numeric(38, 0) not null`;

const GROUP = `
        caller_team_id uuid not null,
        caller uuid not null,
        kind text not null check (kind in ('inference', 'mirror', 'warmup', 'batch')),
        experiment text not null`;

/** Usage as routers report it, the append-only ledger with its hourly sums, and how far each replica is closed. */
export class Migration20261121000800_costs extends Migration {
  override up(): void {
    this.#addUsage();
    this.#addLedger();
    const tables = [
      'usage_minute',
      'usage_hour',
      'metered_replica',
      'restatement',
      'ledger_line',
      'ledger_line_default',
      'ledger_hour',
    ];
    for (const table of tables) this.addSql(tenantTable(table));
    this.addSql(appendOnly('ledger_line'));
    this.addSql(MONTHS);
  }

  #addUsage(): void {
    this.addSql(`
      create table usage_source (
        source text primary key,
        router text not null,
        mark bigint not null,
        above bigint[] not null,
        through bigint not null,
        seen_at bigint not null
      );
      create index on usage_source (seen_at);
      create table usage_minute (
        replica_id uuid not null references replica,
        minute bigint not null,
        team_id uuid not null references team,${GROUP},${QUANTITIES},
        primary key (replica_id, minute, caller_team_id, caller, kind, experiment)
      );
      create index on usage_minute (minute);
      create table usage_hour (
        replica_id uuid not null references replica,
        hour bigint not null,
        team_id uuid not null references team,
        unattributed boolean not null,${GROUP},${QUANTITIES},
        primary key (replica_id, hour, unattributed, caller_team_id, caller, kind, experiment)
      );
      create index on usage_hour (hour);
      create table metered_replica (
        replica_id uuid primary key references replica,
        team_id uuid not null references team,
        closed_until bigint not null,
        ended boolean not null default false,
        transitions integer not null default 0,
        capacity_until bigint,
        prices integer not null default 0
      );
      create index on metered_replica (replica_id) where not ended;
      create table restatement (
        replica_id uuid not null references replica,
        minute bigint not null,
        team_id uuid not null references team,
        primary key (replica_id, minute)
      );
    `);
  }

  #addLedger(): void {
    this.addSql(`
      create table ledger_line (
        resource_id uuid not null,
        minute bigint not null,
        price_id uuid not null,
        state text not null,
        group_key text not null,
        n integer not null,${DIMENSIONS},${AMOUNTS},
        written_at bigint not null,
        primary key (resource_id, minute, price_id, state, group_key, n)
      ) partition by range (minute);
      create index on ledger_line (minute);
      create table ledger_line_default partition of ledger_line default;
      create table ledger_hour (
        resource_id uuid not null,
        hour bigint not null,
        price_id uuid not null,
        state text not null,
        group_key text not null,${DIMENSIONS},${AMOUNTS},
        primary key (resource_id, hour, price_id, state, group_key)
      );
      create index on ledger_hour (hour);
    `);
  }
}

/**
 * Makes the partition of the month that an instant lies in, with the policies of its parent: a partition that is read directly must
 * not be a hole in the wall. The app role owns nothing, so the function runs as the owner of the tables.
 */
const MONTHS = `
  create function purser_ledger_month(at bigint) returns void language plpgsql security definer set search_path = public as $$
  declare
    month timestamp := date_trunc('month', to_timestamp(at / 1000) at time zone 'UTC');
    name text := 'ledger_line_' || to_char(month, 'YYYY_MM');
  begin
    if to_regclass(name) is not null then return; end if;
    perform pg_advisory_xact_lock(7077366);
    if to_regclass(name) is not null then return; end if;
    execute format('create table %I partition of ledger_line for values from (%s) to (%s)', name,
      extract(epoch from month)::bigint * 1000, extract(epoch from month + interval '1 month')::bigint * 1000);
    execute replace(${quoted(tenantTable('PARTITION'))}, 'PARTITION', name);
  end $$;
`;

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
