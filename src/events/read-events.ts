import type { Json, Severity } from '../kernel/event.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import { resume, type Cursor, type EpochStart, type GapReason, type LogState } from './cursor.ts';
import type { EventFilter, LogEvent } from './event.ts';

export interface ReadRequest {
  /** Null = from the oldest event that is still there. */
  readonly after: Cursor | null;
  readonly filter: EventFilter;
  /** Events at most. */
  readonly limit: number;
}

export interface EventPage {
  /** What the reader missed before the first of these events; never silent. */
  readonly gap: GapReason | null;
  /** Where reading went on: the cursor that was given, or the first place after the gap. */
  readonly from: Cursor;
  readonly events: readonly LogEvent[];
  /** Everything up to here was looked at, whether it matched or not. */
  readonly cursor: Cursor;
  /** True if more may follow before the head of the log. */
  readonly hasMore: boolean;
}

/** Reads in the snapshot of `tx`; the log's ends and its rows are of one moment. Row-level security decides what exists. */
export async function readEvents(tx: Transaction, request: ReadRequest): Promise<EventPage> {
  const log = await logState(tx);
  const { from, gap } = request.after
    ? resume(request.after, log)
    : { from: { epoch: log.epoch, position: log.pruned }, gap: null };
  const { where, values } = conditions(request.filter);
  const rows = await sqlOf(tx).query<EventRow>(
    `select * from event where position > $1 and position <= $2 ${where} order by position limit $3`,
    [from.position, log.position, request.limit, ...values],
  );
  const events = rows.map(eventOf);
  const hasMore = events.length === request.limit;
  const position = hasMore ? (events.at(-1)?.position ?? from.position) : log.position;
  return { gap, from, events, cursor: { epoch: log.epoch, position }, hasMore: hasMore && position < log.position };
}

/** The newest events that match, oldest first. */
export async function latestEvents(
  tx: Transaction,
  request: { readonly filter: EventFilter; readonly limit: number },
): Promise<EventPage> {
  const log = await logState(tx);
  const { where, values } = conditions(request.filter);
  const rows = await sqlOf(tx).query<EventRow>(
    `select * from event where position > $1 and position <= $2 ${where} order by position desc limit $3`,
    [log.pruned, log.position, request.limit, ...values],
  );
  const head = { epoch: log.epoch, position: log.position };
  return { gap: null, from: head, events: rows.map(eventOf).reverse(), cursor: head, hasMore: false };
}

/** The newest events of each deployment, newest first, in one statement. */
export async function newestOfDeployments(
  tx: Transaction,
  deploymentIds: readonly string[],
  limit: number,
): Promise<{ readonly epoch: number; readonly events: ReadonlyMap<string, readonly LogEvent[]> }> {
  const { epoch, pruned, position } = await logState(tx);
  const rows = await sqlOf(tx).query<EventRow>(
    `select e.* from unnest($1::uuid[]) d(id) cross join lateral (select * from event
       where deployment_id = d.id and position > $2 and position <= $3 order by position desc limit $4) e`,
    [deploymentIds, pruned, position, limit],
  );
  return { epoch, events: Map.groupBy(rows.map(eventOf), ({ deploymentId }) => deploymentId ?? '') };
}

/** The log's own ends. */
export async function logState(tx: Transaction): Promise<LogState> {
  const [head] = await sqlOf(tx).query<{ epoch: number; position: number; pruned: number; starts: EpochStart[] }>(
    `select epoch, position, pruned, coalesce((select jsonb_agg(jsonb_build_object('epoch', e.epoch, 'forkPosition', e.fork_position))
       from event_epoch e), '[]'::jsonb) as starts from event_head`,
  );
  if (!head) throw new Error('event_head has no row: the migrations did not run');
  return head;
}

/** How far the log is. */
export interface LogExtent {
  /** Names this history of this database: another after a restore. */
  readonly epoch: string;
  /** Of the last event that has a number. */
  readonly position: number;
  /** Events that are committed, numbered or not: the same count is the same history. */
  readonly committed: number;
}

/** One cheap statement: whoever wakes by commits asks it often. */
export async function logExtent(tx: Transaction): Promise<LogExtent> {
  const [extent] = await sqlOf(tx).query<LogExtent>(
    `select coalesce(e.system_identifier, '0') || '-' || h.epoch as epoch, h.position,
       h.position + (select count(*) from outbox) as committed
     from event_head h left join event_epoch e on e.epoch = h.epoch`,
  );
  return extent ?? { epoch: '0-0', position: 0, committed: 0 };
}

/** Conditions on the indexed columns; placeholders start at $4. */
function conditions(filter: EventFilter): { where: string; values: unknown[] } {
  const values: unknown[] = [];
  const place = (value: unknown): string => `$${values.push(value) + 3}`;
  const parts: string[] = [];
  const same = (column: string, value: string | undefined): void => {
    if (value !== undefined) parts.push(`${column} = ${place(value)}`);
  };
  same('subject_kind', filter.subjectKind);
  same('subject_id', filter.subjectId);
  same('deployment_id', filter.deploymentId);
  same('project_id', filter.projectId);
  if (filter.teamIds) parts.push(`team_id = any (${place(filter.teamIds)}::uuid[])`);
  if (filter.severities) parts.push(`severity = any (${place(filter.severities)})`);
  if (filter.types) {
    const types = place(filter.types);
    parts.push(`exists (select from unnest(${types}::text[]) t where type = t or (right(t, 1) = '.' and starts_with(type, t)))`);
  }
  return { where: parts.map((part) => `and ${part}`).join(' '), values };
}

export interface EventRow {
  readonly position: number;
  readonly type: string;
  readonly subject_kind: string;
  readonly subject_id: string;
  readonly subject_version: number;
  readonly team_id: string | null;
  readonly project_id: string | null;
  readonly deployment_id: string | null;
  readonly severity: Severity;
  readonly at: number;
  readonly principal: string;
  readonly message: string;
  readonly before: Json;
  readonly after: Json;
}

export const eventOf = (row: EventRow): LogEvent => ({
  position: row.position,
  type: row.type,
  subjectKind: row.subject_kind,
  subjectId: row.subject_id,
  subjectVersion: row.subject_version,
  teamId: row.team_id,
  projectId: row.project_id,
  deploymentId: row.deployment_id,
  severity: row.severity,
  at: row.at,
  principal: row.principal,
  message: row.message,
  before: row.before,
  after: row.after,
});
