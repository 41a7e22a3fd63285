import { Migration } from '@mikro-orm/migrations';

/** What every other table leans on: the scope functions of row-level security, leases, idempotency. Instants are bigint ms. */
export class Migration20261121000100_foundation extends Migration {
  override up(): void {
    this.addSql(`
      create function purser_teams() returns uuid[] language sql stable as
        $$ select coalesce(nullif(current_setting('purser.teams', true), '')::uuid[], '{}'::uuid[]) $$;

      create function purser_refuse_change() returns trigger language plpgsql as
        $$ begin raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation'; end $$;

      create function purser_now_ms() returns bigint language sql volatile as
        $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint $$;
    `);
    this.addSql(`
      create table lease (
        name text primary key,
        holder text not null,
        epoch bigint not null,
        expires_at bigint not null
      );
      create table installation (
        one boolean primary key default true check (one),
        secret text not null
      );
      create table idempotency (
        principal_id uuid not null,
        mutation text not null,
        key text not null,
        body_digest text not null,
        outcome jsonb,
        created_at bigint not null,
        primary key (principal_id, mutation, key)
      );
      create index on idempotency (created_at);
    `);
  }
}
