import { Migration } from '@mikro-orm/migrations';
import { tenantTable } from './rls.ts';

const EVENT_COLUMNS = `
        type text not null,
        subject_kind text not null,
        subject_id uuid not null,
        subject_version bigint not null,
        team_id uuid,
        project_id uuid,
        deployment_id uuid,
        severity text not null check (severity in ('info', 'warning', 'error')),
        at bigint not null,
        principal text not null,
        message text not null,
        before jsonb not null,
        after jsonb not null`;

const COPIED = `type, subject_kind, subject_id, subject_version, team_id, project_id, deployment_id, severity, at, principal, message, before, after`;

/** The event log: an outbox that transactions append to, the log with dense positions, and the statement that moves one to the other. */
export class Migration20261121000150_events extends Migration {
  override up(): void {
    this.addSql(`
      create table outbox (
        xid xid8 not null default pg_current_xact_id(),
        seq bigint generated always as identity,
        ${EVENT_COLUMNS},
        primary key (xid, seq)
      );
      create table event (
        position bigint primary key,
        ${EVENT_COLUMNS}
      );
      create index on event (deployment_id, position) where deployment_id is not null;
      create index on event (team_id, position);
      create index on event (subject_id, position);

      create table event_head (
        singleton boolean primary key default true check (singleton),
        epoch integer not null,
        position bigint not null,
        pruned bigint not null,
        floor xid8 not null
      );
      insert into event_head (epoch, position, pruned, floor) values (0, 0, 0, '0');
      create table event_epoch (
        epoch integer primary key,
        fork_position bigint not null,
        system_identifier text not null,
        timeline_id integer not null,
        started_at bigint not null
      );
    `);
    for (const table of ['outbox', 'event']) this.addSql(tenantTable(table));
    this.addSql(SEQUENCE_EVENTS);
  }
}

/**
 * Moves at most \`n\` committed rows from the outbox to the log and numbers them without holes; returns how many. Must be sent
 * in one message with its COMMIT: the head's row lock is the mutual exclusion, and a client that freezes must not hold it.
 */
const SEQUENCE_EVENTS = `
  create function sequence_events(n integer) returns integer language plpgsql as $$
  declare
    head_row event_head;
    x xid8;
    moved integer;
  begin
    perform set_config('purser.scope', 'reconciler', true);
    -- In a steady state nothing is written, not even the row lock.
    if not exists (select 1 from outbox) then return 0; end if;
    -- No reader may see a position that a crash can undo.
    perform set_config('synchronous_commit', 'on', true);
    select * into strict head_row from event_head for update;
    -- Taken before the move: whatever is below it has ended, and the move's own, later snapshot sees it.
    x := pg_snapshot_xmin(pg_current_snapshot());
    with picked as (
      select xid, seq from outbox where xid >= head_row.floor order by seq limit n
    ), gone as (
      delete from outbox using picked where outbox.xid = picked.xid and outbox.seq = picked.seq returning outbox.*
    )
    insert into event (position, ${COPIED})
      select head_row.position + row_number() over (order by seq), ${COPIED} from gone;
    get diagnostics moved = row_count;
    if moved > 0 then
      update event_head set position = position + moved, floor = case when moved < n then x else floor end;
      perform pg_notify('purser_events', (head_row.position + moved)::text);
    end if;
    return moved;
  end $$;
`;
