import type { OfferingKey } from '../clouds/offering-key.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { CapacityAnswer } from './capacity-answer.ts';
import type { CapacityStore } from './capacity-store.port.ts';
import type { Growth, GrowthHold, VelocityRecord } from './velocity-breaker.ts';

const HOLD = `id, pool_id as "poolId", held_at as "heldAt", message, released_at as "releasedAt"`;
const KEY = `provider = $1 and region = $2 and zone = $3 and instance_type = $4 and capacity_type = $5`;
/** Names the lock that everybody takes who adds machines: one at a time in the whole installation. */
const VELOCITY_LOCK = 1_900_001;

const keyValues = ({ provider, region, zone, instanceType, capacityType }: OfferingKey) => [
  ...[provider, region, zone, instanceType, capacityType],
];

/** Answers about capacity and growth, in PostgreSQL. */
export class CapacityRepository implements CapacityStore {
  async answers(tx: Transaction): Promise<CapacityAnswer[]> {
    const rows = await sqlOf(tx).query<OfferingKey & Omit<CapacityAnswer, 'key'>>(
      `select provider, region, zone, instance_type as "instanceType", capacity_type as "capacityType", reason, message, refusals,
         since_at as since, until_at as until from capacity_answer order by provider, region, zone, instance_type, capacity_type`,
    );
    return rows.map(({ provider, region, zone, instanceType, capacityType, ...answer }) => ({
      key: { provider, region, zone, instanceType, capacityType },
      ...answer,
    }));
  }

  async saveAnswer(tx: Transaction, { key, reason, message, refusals, since, until }: CapacityAnswer): Promise<void> {
    await sqlOf(tx).execute(
      `insert into capacity_answer (provider, region, zone, instance_type, capacity_type, reason, message, refusals, since_at, until_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
       on conflict (provider, region, zone, instance_type, capacity_type) do update set reason = excluded.reason,
         message = excluded.message, refusals = excluded.refusals, since_at = excluded.since_at, until_at = excluded.until_at`,
      [...keyValues(key), reason, message, refusals, since, until],
    );
  }

  async clearAnswer(tx: Transaction, key: OfferingKey): Promise<void> {
    await sqlOf(tx).execute(`delete from capacity_answer where ${KEY}`, keyValues(key));
  }

  openHolds(tx: Transaction): Promise<GrowthHold[]> {
    return sqlOf(tx).query<GrowthHold>(`select ${HOLD} from growth_hold where released_at is null order by held_at`);
  }

  async lockVelocity(tx: Transaction, since: Instant): Promise<VelocityRecord> {
    const sql = sqlOf(tx);
    await sql.query(`select pg_advisory_xact_lock($1)`, [VELOCITY_LOCK]);
    const growths = await sql.query<Omit<Growth, 'hourly'> & { readonly hourly: string | null }>(
      `select pool_id as "poolId", at, nodes, hourly from pool_growth where at > $1 and not refused order by at, pool_id`,
      [since],
    );
    const holds = await sql.query<GrowthHold>(`select ${HOLD} from growth_hold where released_at is null or released_at > $1`, [
      since,
    ]);
    return {
      growths: growths.map((growth) => ({ ...growth, hourly: growth.hourly === null ? null : BigInt(growth.hourly) })),
      holds,
    };
  }

  async addGrowth(tx: Transaction, { poolId, at, nodes, hourly }: Growth): Promise<void> {
    await sqlOf(tx).execute(`insert into pool_growth (pool_id, at, nodes, hourly) values ($1, $2, $3, $4)`, [
      ...[poolId, at, nodes, hourly?.toString() ?? null],
    ]);
  }

  async refuseGrowth(tx: Transaction, { poolId, at }: Pick<Growth, 'poolId' | 'at'>): Promise<void> {
    await sqlOf(tx).execute(`update pool_growth set refused = true where pool_id = $1 and at = $2`, [poolId, at]);
  }

  async hold(tx: Transaction, { id, poolId, heldAt, message }: GrowthHold): Promise<void> {
    await sqlOf(tx).execute(`insert into growth_hold (id, pool_id, held_at, message) values ($1, $2, $3, $4)`, [
      ...[id, poolId, heldAt, message],
    ]);
  }

  async release(
    tx: Transaction,
    poolId: Id | null,
    { at, principal }: { readonly at: Instant; readonly principal: string },
  ): Promise<boolean> {
    const released = await sqlOf(tx).execute(
      `update growth_hold set released_at = $2, released_by = $3 where pool_id is not distinct from $1 and released_at is null`,
      [poolId, at, principal],
    );
    return released > 0;
  }

  async prune(tx: Transaction, before: Instant, limit: number): Promise<number> {
    const sql = sqlOf(tx);
    const growths = await sql.execute(
      `delete from pool_growth where (pool_id, at) in (select pool_id, at from pool_growth where at < $1 order by at limit $2)`,
      [before, limit],
    );
    const holds = await sql.execute(
      `delete from growth_hold where id in (select id from growth_hold where released_at < $1 order by released_at limit $2)`,
      [before, limit],
    );
    return growths + holds;
  }
}
