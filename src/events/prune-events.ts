import type { Instant } from '../kernel/instant.ts';
import type { Scope } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { sqlOf } from '../persistence/sql.ts';

/** Rows per DELETE. Higher holds locks longer, lower takes more statements. */
const BATCH = 10_000;
const SCOPE: Scope = { kind: 'reconciler', loop: 'prune events' };

/**
 * Removes the events before the first one that is not older than `before`. The mark is raised and committed first: a reader that meets
 * removed rows has then already seen in its snapshot that they are gone. Returns how many were removed.
 */
export async function pruneEvents(database: Database, before: Instant): Promise<number> {
  await database.write(SCOPE, (tx) =>
    sqlOf(tx).execute(
      `update event_head set pruned = oldest.kept - 1 from
         (select coalesce((select position from event where at >= $1 order by position limit 1), (select position + 1 from event_head)) as kept) oldest
       where pruned < oldest.kept - 1`,
      [before],
    ),
  );
  let removed = 0;
  for (let batch = BATCH; batch === BATCH; removed += batch) {
    batch = await database.write(SCOPE, (tx) =>
      sqlOf(tx).execute(
        `delete from event where position in
           (select position from event where position <= (select pruned from event_head) order by position limit $1)`,
        [BATCH],
      ),
    );
  }
  return removed;
}
