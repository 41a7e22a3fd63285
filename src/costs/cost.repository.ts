import type { Id } from '../kernel/id.ts';
import { hourOf, type Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import { believedSteps, OVERRIDE_SOURCE, type PriceRow } from '../pricing/price-book.ts';
import type { UsageRow } from '../traffic/router-contract/usage-report.ts';
import type { BusyGroup } from './attribute-costs.ts';
import type { CostedReplica, CostStore, MeteredReplica, ReplicaProgress, UsageSource } from './cost-store.port.ts';
import type { ReplicaLife } from './replica-life.ts';
import type { BookedLine } from './restate.ts';
import type { LedgerLine } from './ledger-line.ts';
import { appendLines, bookedLines } from './ledger-lines.repository.ts';

const QUANTITIES = [
  'busy_us',
  'attempts',
  'requests',
  'errors',
  'bytes_in',
  'bytes_out',
  'input_tokens',
  'output_tokens',
  'stamped',
];
const plus = (table: string, columns: readonly string[]): string =>
  columns.map((column) => `${column} = ${table}.${column} + excluded.${column}`).join(', ');
const sums = (columns: readonly string[]): string => columns.map((column) => `sum(x.${column})`).join(', ');

interface PriceJson extends Omit<PriceRow, 'list' | 'contracted' | 'effective'> {
  readonly list: string;
  readonly contracted: string;
  readonly effective: string;
}

interface ReplicaJson extends Omit<CostedReplica, 'life' | 'steps' | 'seen' | 'pricesFrom' | 'assumedPrices' | 'places'> {
  readonly clusterKind: string;
  readonly capacityFrom: Instant;
  readonly capacityUntil: Instant | null;
  readonly transitions: ReplicaLife['transitions'];
  readonly prices: readonly PriceJson[];
  readonly places: readonly { readonly from: Instant; readonly nodeFrom: Instant; readonly nodeUntil: Instant | null }[];
}

/** Usage and ledger in PostgreSQL. Sets of rows travel as one JSON parameter, whole amounts as text. */
export class CostRepository implements CostStore {
  async noteRouter(tx: Transaction, router: string, now: Instant): Promise<void> {
    await sqlOf(tx).execute(
      `insert into usage_source (source, router, mark, above, through, seen_at) values ($1 || '/', $1, 0, '{}', 0, $2)
        on conflict (source) do update set seen_at = excluded.seen_at`,
      [router, now],
    );
  }

  async lockSource(tx: Transaction, source: string, router: string, now: Instant): Promise<UsageSource> {
    const sql = sqlOf(tx);
    await sql.execute(
      `insert into usage_source (source, router, mark, above, through, seen_at) values ($1, $2, 0, '{}', 0, $3) on conflict do nothing`,
      [source, router, now],
    );
    const [row] = await sql.query<UsageSource>(
      `select source, router, mark, to_jsonb(above) as above, through from usage_source where source = $1 for update`,
      [source],
    );
    return row ?? { source, router, mark: 0, above: [], through: 0 };
  }

  async saveSource(tx: Transaction, source: UsageSource, now: Instant): Promise<void> {
    await sqlOf(tx).execute(
      `update usage_source set mark = $2, above = array(select jsonb_array_elements_text($3::jsonb)::bigint), through = $4, seen_at = $5
        where source = $1`,
      [source.source, source.mark, JSON.stringify(source.above), source.through, now],
    );
  }

  async holdReplicas(tx: Transaction, replicaIds: readonly Id[]): Promise<ReadonlyMap<Id, Instant>> {
    const sql = sqlOf(tx);
    const ids = `{${replicaIds.join(',')}}`;
    await sql.execute(`${ENROL} where id = any ($1::uuid[]) order by id on conflict do nothing`, [ids]);
    const rows = await sql.query<{ id: Id; closedUntil: Instant }>(
      `select replica_id as id, closed_until as "closedUntil" from metered_replica where replica_id = any ($1::uuid[])
        order by replica_id for share`,
      [ids],
    );
    return new Map(rows.map(({ id, closedUntil }) => [id, closedUntil]));
  }

  async addUsage(tx: Transaction, rows: readonly UsageRow[], unattributed: boolean): Promise<void> {
    if (rows.length === 0) return;
    const sql = sqlOf(tx);
    const json = JSON.stringify(rows.map((row) => ({ ...usageJson(row), hour: hourOf(row.minute), unattributed })));
    if (!unattributed) await sql.execute(addUsageTo('usage_minute', ['minute']), [json]);
    await sql.execute(addUsageTo('usage_hour', ['hour', 'unattributed']), [json]);
  }

  async queueRestatement(
    tx: Transaction,
    minutes: readonly { readonly replicaId: Id; readonly minute: Instant }[],
  ): Promise<void> {
    if (minutes.length === 0) return;
    await sqlOf(tx).execute(
      `insert into restatement (replica_id, minute, team_id)
        select distinct x."replicaId", x.minute, r.team_id from jsonb_to_recordset($1::jsonb) as x("replicaId" uuid, minute bigint)
          join replica r on r.id = x."replicaId" order by 1, 2 on conflict do nothing`,
      [JSON.stringify(minutes)],
    );
  }

  async queueNodesOf(tx: Transaction, minutes: readonly { readonly replicaId: Id; readonly minute: Instant }[]): Promise<void> {
    if (minutes.length === 0) return;
    await sqlOf(tx).execute(QUEUE_NODES, [JSON.stringify(minutes)]);
  }

  async queueNodesSince(tx: Transaction, replicaId: Id, from: Instant): Promise<void> {
    await sqlOf(tx).execute(QUEUE_NODES_SINCE, [replicaId, from]);
  }

  async acknowledgedThrough(tx: Transaction, since: Instant): Promise<Instant | null> {
    const [row] = await sqlOf(tx).query<{ through: Instant | null }>(
      `select min(through) as through from (select max(through) as through from usage_source where seen_at >= $1 group by router) x`,
      [since],
    );
    return row?.through ?? null;
  }

  openReplicas(tx: Transaction, since: Instant): Promise<ReplicaProgress[]> {
    return sqlOf(tx).query<ReplicaProgress>(OPEN_REPLICAS, [since]);
  }

  async queuedRestatements(tx: Transaction, limit: number): Promise<{ replicaId: Id; minutes: Instant[] }[]> {
    return sqlOf(tx).query(
      `select replica_id as "replicaId", jsonb_agg(minute order by minute) as minutes
        from (select replica_id, minute from restatement order by replica_id, minute limit $1) x group by replica_id order by replica_id`,
      [limit],
    );
  }

  async lockReplica(tx: Transaction, replicaId: Id): Promise<MeteredReplica> {
    const sql = sqlOf(tx);
    await sql.execute(`${ENROL} where id = $1 on conflict do nothing`, [replicaId]);
    const [row] = await sql.query<{
      closedUntil: Instant;
      ended: boolean;
      transitions: number;
      capacityUntil: Instant | null;
      prices: number;
    }>(
      `select closed_until as "closedUntil", ended, transitions, capacity_until as "capacityUntil", prices from metered_replica
        where replica_id = $1 for update`,
      [replicaId],
    );
    if (!row) throw new Error(`replica ${replicaId} is not there to be closed`);
    const { closedUntil, ended, ...seen } = row;
    return { replicaId, closedUntil, ended, seen };
  }

  async lockReplicas(tx: Transaction, replicaIds: readonly Id[]): Promise<void> {
    const sql = sqlOf(tx);
    const ids = [`{${replicaIds.join(',')}}`];
    await sql.execute(`${ENROL} where id = any ($1::uuid[]) order by id on conflict do nothing`, ids);
    const text = `select 1 from metered_replica where replica_id = any ($1::uuid[]) order by replica_id for no key update`;
    await sql.query(text, ids);
  }

  async saveReplica(tx: Transaction, { replicaId, closedUntil, ended, seen }: MeteredReplica): Promise<void> {
    await sqlOf(tx).execute(
      `update metered_replica set closed_until = $2, ended = $3, transitions = $4, capacity_until = $5, prices = $6 where replica_id = $1`,
      [replicaId, closedUntil, ended, seen.transitions, seen.capacityUntil, seen.prices],
    );
  }

  async costedReplicas(tx: Transaction, ids: readonly Id[], range: { from: Instant; to: Instant }): Promise<CostedReplica[]> {
    const rows = await sqlOf(tx).query<ReplicaJson>(COSTED_REPLICAS, [`{${ids.join(',')}}`]);
    return rows.map((row) => toCostedReplica(row, range));
  }

  async usageOf(
    tx: Transaction,
    replicaIds: readonly Id[],
    range: { from: Instant; to: Instant },
  ): Promise<Map<Id, Map<Instant, BusyGroup[]>>> {
    const rows = await sqlOf(tx).query<BusyGroup & { replicaId: Id; minute: Instant }>(
      `select replica_id as "replicaId", minute, caller_team_id as "callerTeamId", caller, kind, experiment, busy_us as "busyUs"
        from usage_minute where replica_id = any ($1::uuid[]) and minute >= $2 and minute < $3`,
      [`{${replicaIds.join(',')}}`, range.from, range.to],
    );
    const byReplica = Map.groupBy(rows, ({ replicaId }) => replicaId);
    return new Map([...byReplica].map(([id, own]) => [id, Map.groupBy(own, ({ minute }) => minute)]));
  }

  bookedLines(tx: Transaction, replicaId: Id, minutes: readonly Instant[]): Promise<ReadonlyMap<Instant, BookedLine[]>> {
    return bookedLines(tx, replicaId, minutes);
  }

  appendLines(tx: Transaction, lines: readonly LedgerLine[], now: Instant): Promise<void> {
    return appendLines(tx, lines, now);
  }

  async dropRestatements(tx: Transaction, replicaId: Id, minutes: readonly Instant[]): Promise<void> {
    if (minutes.length === 0) return;
    await sqlOf(tx).execute(`delete from restatement where replica_id = $1 and minute = any ($2::bigint[])`, [
      replicaId,
      `{${minutes.join(',')}}`,
    ]);
  }

  pruneUsage(tx: Transaction, before: Instant, limit: number): Promise<number> {
    return sqlOf(tx).execute(
      `delete from usage_minute where (replica_id, minute, caller_team_id, caller, kind, experiment) in
        (select replica_id, minute, caller_team_id, caller, kind, experiment from usage_minute where minute < $1 limit $2)`,
      [before, limit],
    );
  }
}

const ENROL = `insert into metered_replica (replica_id, team_id, closed_until)
  select id, team_id, capacity_from - capacity_from % 60000 from replica`;

const addUsageTo = (table: string, place: readonly string[]): string => {
  const key = ['replica_id', ...place, 'caller_team_id', 'caller', 'kind', 'experiment'];
  const picked = key.map((column) => `x.${column}`).join(', ');
  return `insert into ${table} (${key.join(', ')}, team_id, ${QUANTITIES.join(', ')})
    select ${picked}, r.team_id, ${sums(QUANTITIES)}
      from jsonb_to_recordset($1::jsonb) as x(replica_id uuid, minute bigint, hour bigint, unattributed boolean, caller_team_id uuid, caller uuid,
        kind text, experiment text, ${QUANTITIES.map((column) => `${column} numeric`).join(', ')})
      join replica r on r.id = x.replica_id group by ${picked}, r.team_id order by ${picked}
    on conflict (${key.join(', ')}) do update set ${plus(table, QUANTITIES)}`;
};

const usageJson = (row: UsageRow) => ({
  replica_id: row.replicaId,
  minute: row.minute,
  caller_team_id: row.callerTeamId,
  caller: row.caller,
  kind: row.kind,
  experiment: row.experiment,
  busy_us: row.busyUs,
  attempts: row.attempts,
  requests: row.requests,
  errors: row.errors,
  bytes_in: row.bytesIn,
  bytes_out: row.bytesOut,
  input_tokens: row.inputTokens,
  output_tokens: row.outputTokens,
  stamped: row.stampedPicoUsd,
});

const PLACED_ON = `from node_placement p join metered_node m on m.node_id = p.node_id`;

const QUEUE_NODES = `
  insert into node_restatement (node_id, minute)
  select distinct p.node_id, x.minute ${PLACED_ON}
    join jsonb_to_recordset($1::jsonb) as x("replicaId" uuid, minute bigint) on x."replicaId" = p.pod_id
    where x.minute >= m.capacity_from - m.capacity_from % 60000 and x.minute < m.closed_until
  order by 1, 2 on conflict do nothing`;

const QUEUE_NODES_SINCE = `
  insert into node_restatement (node_id, minute)
  select distinct p.node_id, x.minute ${PLACED_ON}
    cross join lateral generate_series(greatest($2::bigint, m.capacity_from) / 60000 * 60000, m.closed_until - 60000, 60000) as x(minute)
    where p.pod_id = $1
  order by 1, 2 on conflict do nothing`;

const OPEN_REPLICAS = `
  with known as (
    select r.id, r.capacity_from - r.capacity_from % 60000 as first, r.capacity_until, r.observed_at,
      (select count(*) from replica_transition t where t.replica_id = r.id) as transitions,
      (select count(*) from price p where p.offering_id = r.offering_id and p.state = 'believed') as prices
    from replica r where r.capacity_until is null or r.capacity_until >= $1)
  select k.id as "replicaId", coalesce(m.closed_until, k.first) as "closedUntil", k.capacity_until as "capacityUntil",
    k.observed_at as "observedAt",
    m.replica_id is not null and (m.transitions <> k.transitions or m.prices <> k.prices or m.capacity_until is distinct from k.capacity_until)
      as changed
  from known k left join metered_replica m on m.replica_id = k.id
  where m.replica_id is null or not m.ended or m.transitions <> k.transitions or m.prices <> k.prices
    or m.capacity_until is distinct from k.capacity_until
  order by k.id`;

const COSTED_REPLICAS = `
  select r.id as "replicaId", r.team_id as "teamId", r.project_id as "projectId", r.deployment_id as "deploymentId",
    r.revision_id as "revisionId", v.model_id as "modelId", v.model_version_id as "modelVersionId", r.cluster_id as "clusterId",
    r.offering_id as "offeringId", v.concurrency, r.capacity_from as "capacityFrom", r.capacity_until as "capacityUntil",
    r.observed_at as "observedAt", (select c.kind from cluster c where c.id = r.cluster_id) as "clusterKind",
    coalesce((select jsonb_agg(jsonb_build_object('at', t.at, 'state', t.state) order by t.n)
      from replica_transition t where t.replica_id = r.id), '[]'::jsonb) as transitions,
    coalesce((select jsonb_agg(jsonb_build_object('id', p.id, 'offeringId', p.offering_id, 'list', p.list::text,
        'contracted', p.contracted::text, 'effective', p.effective::text, 'effectiveFrom', p.effective_from,
        'observedAt', p.observed_at, 'source', p.source, 'state', p.state, 'stale', p.source <> '${OVERRIDE_SOURCE}' and
          exists (select 1 from price_claim c where c.offering_id = p.offering_id) and not exists (select 1 from price_claim c
            join price_feed f on f.name = c.feed and f.stale_since is null where c.offering_id = p.offering_id)) order by p.observed_at, p.id)
      from price p where p.offering_id = r.offering_id and p.state = 'believed'), '[]'::jsonb) as prices,
    coalesce((select jsonb_agg(jsonb_build_object('from', p.placed_from, 'nodeFrom', m.capacity_from, 'nodeUntil', m.capacity_until)
      order by p.placed_from) ${PLACED_ON} where p.pod_id = r.id), '[]'::jsonb) as places
  from replica r join revision v on v.id = r.revision_id where r.id = any ($1::uuid[]) order by r.id`;

function toCostedReplica(row: ReplicaJson, range: { from: Instant; to: Instant }): CostedReplica {
  const { capacityFrom, capacityUntil, transitions, prices, places, clusterKind, ...rest } = row;
  const rows = prices.map((price) => ({
    ...price,
    list: BigInt(price.list),
    contracted: BigInt(price.contracted),
    effective: BigInt(price.effective),
  }));
  const byId = new Map(rows.map((price) => [price.id, price]));
  return {
    ...rest,
    life: { capacityFrom, capacityUntil, transitions },
    places: places.map(({ from, nodeFrom, nodeUntil }, index) => ({
      from: Math.max(index === 0 ? nodeFrom : from, nodeFrom),
      to: Math.min(places[index + 1]?.from ?? Infinity, nodeUntil ?? Infinity),
    })),
    steps: believedSteps(rows, range.from, range.to).flatMap(({ from, to, priceId }) => {
      const price = byId.get(priceId);
      return price ? [{ from, to, priceId, list: price.list, contracted: price.contracted, effective: price.effective }] : [];
    }),
    pricesFrom: rows.map(({ effectiveFrom }) => effectiveFrom),
    assumedPrices: new Set(rows.filter((row) => row.stale || (ASSUMING.has(clusterKind) && isAssumed(row))).map(({ id }) => id)),
    seen: { transitions: transitions.length, capacityUntil, prices: rows.length },
  };
}

/** Clusters whose replicas only stand in for what they are priced by: one's own machine, and nodes that nobody has told of. */
const ASSUMING: ReadonlySet<string> = new Set(['local', 'kubernetes']);

/** On a machine of one's own only a price that somebody has set is known. */
const isAssumed = ({ source }: PriceRow): boolean => source !== OVERRIDE_SOURCE;
