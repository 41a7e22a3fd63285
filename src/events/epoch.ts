import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';

/**
 * Starts a new epoch if this is not the server, or not the timeline, that the log was written on: the database was restored, and
 * positions above the newest one here may have meant other events. The fork is the newest position. Returns the present epoch.
 */
export async function ensureEpoch(tx: Transaction, now: Instant): Promise<number> {
  const sql = sqlOf(tx);
  const [head] = await sql.query<{ epoch: number; position: number }>(`select epoch, position from event_head for update`);
  const [server] = await sql.query<{ id: string; timeline: number }>(
    `select (select system_identifier::text from pg_control_system()) as id, (select timeline_id from pg_control_checkpoint()) as timeline`,
  );
  if (!head || !server) throw new Error('the event log has no head, or the server no identity');
  const known = await sql.query(`select 1 from event_epoch where epoch = $1 and system_identifier = $2 and timeline_id = $3`, [
    head.epoch,
    server.id,
    server.timeline,
  ]);
  if (known.length > 0) return head.epoch;
  const epoch = head.epoch + 1;
  await sql.execute(
    `insert into event_epoch (epoch, fork_position, system_identifier, timeline_id, started_at) values ($1, $2, $3, $4, $5)`,
    [epoch, head.position, server.id, server.timeline, now],
  );
  await sql.execute(`update event_head set epoch = $1`, [epoch]);
  return epoch;
}
