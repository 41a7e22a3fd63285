import type { Id } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { SpotMemory } from './plan-live-spot.ts';
import { memoryKey, type MemoryOwner, type SpotStore } from './spot-store.port.ts';

/** Spot records in PostgreSQL. */
export class SpotRepository implements SpotStore {
  /** Those whose wish does not allow it any more may still be there. */
  async deploymentsOnSpot(tx: Transaction): Promise<Id[]> {
    return idsOf(
      tx,
      `select id from deployment where deleted_at is null and spec #> '{placement,capacityTypes}' @> '"spot"'
       union select d.id from spot_record r join deployment d on d.id = r.deployment_id where d.deleted_at is null order by id`,
    );
  }

  async standingBy(tx: Transaction): Promise<Id[]> {
    return idsOf(
      tx,
      `select id from deployment where deleted_at is null and jsonb_path_exists(spec, '$.placement.clusters[*].order ? (@ > 0)') order by id`,
    );
  }

  /** Each change of a wish is written with all its replicas: only what gave way since counts, and only if the last word was that some are missing. */
  async gaveWay(tx: Transaction): Promise<Id[]> {
    return idsOf(
      tx,
      `with given as materialized (select distinct deployment_id as id from decision where kind = 'preempt' and deployment_id is not null)
       select d.id from given join deployment d on d.id = given.id
         join lateral (select at, chosen, inputs from decision p where p.deployment_id = d.id and p.kind = 'preempt' order by p.id desc limit 1) p
           on (p.chosen ->> 'replicas')::integer < (p.inputs ->> 'wished')::integer
              and p.at >= (select max(h.valid_from) from deployment_history h where h.deployment_id = d.id)
         join lateral (select sum(w.replicas) as replicas from workload w where w.deployment_id = d.id and w.removed_at is null) held on true
       where d.deleted_at is null and held.replicas < (d.spec ->> 'replicas')::integer order by d.id`,
    );
  }

  async memories(tx: Transaction, deploymentIds: readonly Id[]): Promise<ReadonlyMap<string, SpotMemory>> {
    const rows = await sqlOf(tx).query<{ id: Id; cluster: string; record: unknown }>(
      `select deployment_id as id, cluster, record from spot_record where deployment_id = any ($1::uuid[])`,
      [deploymentIds],
    );
    return new Map(rows.map(({ id, cluster, record }) => [memoryKey(id, cluster), revived(record) as SpotMemory]));
  }

  async saveMemory(tx: Transaction, { deploymentId, cluster, teamId }: MemoryOwner, memory: SpotMemory): Promise<void> {
    await sqlOf(tx).execute(
      `insert into spot_record (deployment_id, cluster, team_id, record, version) values ($1, $2, $3, $4, 1)
       on conflict (deployment_id, cluster) do update set record = excluded.record, version = spot_record.version + 1`,
      [deploymentId, cluster, teamId, JSON.stringify(memory, plainMaps)],
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

const idsOf = async (tx: Transaction, text: string): Promise<Id[]> =>
  (await sqlOf(tx).query<{ id: Id }>(text)).map(({ id }) => id);

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
