import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { SpotMemory } from './plan-live-spot.ts';
import type { SpotStore } from './spot-store.port.ts';

/** Spot records in PostgreSQL. */
export class SpotRepository implements SpotStore {
  async deploymentsOnSpot(tx: Transaction): Promise<Id[]> {
    const rows = await sqlOf(tx).query<{ id: Id }>(
      `select id from deployment where deleted_at is null and spec #> '{placement,capacityTypes}' ? 'spot' order by id`,
    );
    return rows.map(({ id }) => id);
  }

  async gaveWay(tx: Transaction): Promise<Id[]> {
    const rows = await sqlOf(tx).query<{ id: Id }>(
      `select d.id from (select distinct deployment_id as id from decision where kind = 'preempt' and deployment_id is not null) p
         join deployment d on d.id = p.id
         join lateral (select sum(w.replicas) as replicas from workload w where w.deployment_id = d.id and w.removed_at is null) held on true
       where d.deleted_at is null and held.replicas < (d.spec ->> 'replicas')::integer order by d.id`,
    );
    return rows.map(({ id }) => id);
  }

  async memories(tx: Transaction, deploymentIds: readonly Id[]): Promise<ReadonlyMap<Id, SpotMemory>> {
    const rows = await sqlOf(tx).query<{ id: Id; record: unknown }>(
      `select deployment_id as id, record from spot_record where deployment_id = any ($1::uuid[])`,
      [deploymentIds],
    );
    return new Map(rows.map(({ id, record }) => [id, revived(record) as SpotMemory]));
  }

  async saveMemory(
    tx: Transaction,
    { deploymentId, teamId }: { readonly deploymentId: Id; readonly teamId: Id },
    memory: SpotMemory,
  ): Promise<void> {
    await sqlOf(tx).execute(
      `insert into spot_record (deployment_id, team_id, record, version) values ($1, $2, $3, 1)
       on conflict (deployment_id) do update set record = excluded.record, version = spot_record.version + 1`,
      [deploymentId, teamId, JSON.stringify(memory, plainMaps)],
    );
  }

  async noticed(tx: Transaction): Promise<ReadonlyMap<Id, number>> {
    const rows = await sqlOf(tx).query<{ id: Id; replicas: number }>(
      `select r.key as id, sum(r.value::integer)::integer as replicas from node, jsonb_each_text(noticed_replicas) r
       where until_at is null and noticed_replicas <> '{}' group by r.key`,
    );
    return new Map(rows.map(({ id, replicas }) => [id, replicas]));
  }
}

/** A map is written as its pairs, so that it is known for one when it is read. */
const plainMaps = (_: string, value: unknown): unknown =>
  value instanceof Map ? { pairs: [...(value as Map<string, unknown>)] } : value;

function revived(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revived);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, revived(inner)] as const);
  const [only] = entries;
  if (entries.length === 1 && only?.[0] === 'pairs') return new Map(only[1] as [string, unknown][]);
  return Object.fromEntries(entries);
}
