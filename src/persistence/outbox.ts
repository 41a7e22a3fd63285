import type { EventDraft } from '../kernel/event.ts';
import type { Sql } from './sql-executor.ts';

/** One parameter for all rows, so that one statement appends any number; `order by n` makes `seq` follow the order of recording. */
const APPEND = `
  insert into outbox (type, subject_kind, subject_id, subject_version, team_id, project_id, deployment_id, severity, at, principal, message, before, after)
  select d->>'type', d->>'subjectKind', (d->>'subjectId')::uuid, (d->>'subjectVersion')::bigint, (d->>'teamId')::uuid, (d->>'projectId')::uuid,
         (d->>'deploymentId')::uuid, d->>'severity', (d->>'at')::bigint, d->>'principal', d->>'message',
         coalesce(d->'before', 'null'::jsonb), coalesce(d->'after', 'null'::jsonb)
  from jsonb_array_elements($1::jsonb) with ordinality as draft(d, n) order by n`;

/** Appends events as one INSERT; must be the last statement of the transaction, so that `seq` is drawn under its row locks. */
export async function appendToOutbox(sql: Sql, drafts: readonly EventDraft[]): Promise<void> {
  if (drafts.length > 0) await sql.execute(APPEND, [JSON.stringify(drafts)]);
}
