import type { ReplicaEvidence } from '../deployments/replica-evidence.port.ts';
import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';

/** When replicas last finished a request, from what routers reported. */
export class ReplicaEvidenceRepository implements ReplicaEvidence {
  async lastServed(tx: Transaction, replicaIds: readonly Id[]): Promise<ReadonlyMap<Id, Instant>> {
    const rows = await sqlOf(tx).query<{ id: Id; minute: Instant }>(
      `select replica_id as id, max(minute) as minute from usage_minute where replica_id = any ($1::uuid[]) and requests > 0 group by 1`,
      [`{${replicaIds.join(',')}}`],
    );
    return new Map(rows.map(({ id, minute }) => [id, minute + MINUTE_MS]));
  }
}
