import type { RevisionErrors, RevisionErrorSource } from '../deployments/revision-errors.port.ts';
import type { Id } from '../kernel/id.ts';
import { minuteOf, type Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';

/** How revisions fare, from what routers reported. */
export class RevisionErrorRepository implements RevisionErrorSource {
  async errorsOf(tx: Transaction, revisionIds: readonly Id[], since: Instant): Promise<ReadonlyMap<Id, RevisionErrors>> {
    const rows = await sqlOf(tx).query<{ revisionId: Id; requests: string; errors: string }>(
      `select r.revision_id as "revisionId", sum(u.requests) as requests, sum(u.errors) as errors
       from usage_minute u join replica r on r.id = u.replica_id
       where r.revision_id = any ($1::uuid[]) and u.minute >= $2 and r.capacity_until is null group by r.revision_id`,
      [revisionIds, minuteOf(since)],
    );
    return new Map(
      rows.map(({ revisionId, requests, errors }) => [revisionId, { requests: Number(requests), errors: Number(errors) }]),
    );
  }
}
