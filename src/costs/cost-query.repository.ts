import { HOUR_MS } from '../kernel/instant.ts';
import { isId } from '../kernel/id.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import { OVERRIDE_SOURCE } from '../pricing/price-book.ts';
import {
  NOTHING,
  type AMOUNTS,
  type CostDimension,
  type CostQuestion,
  type CostRow,
  type CostSpreading,
  type CostStep,
} from './cost-breakdown.ts';
import type { CostQuery } from './cost-query.port.ts';
import { NO_NODE, UNPRICED } from './ledger-lines.repository.ts';

const COLUMN: Record<CostDimension, string> = {
  OWNER_TEAM: 'team_id',
  CALLER_TEAM: 'caller_team_id',
  CALLER: 'caller',
  PROJECT: 'project_id',
  MODEL: 'model_id',
  VERSION: 'model_version_id',
  DEPLOYMENT: 'deployment_id',
  REVISION: 'revision_id',
  REPLICA: 'resource_id',
  CLUSTER: 'cluster_id',
  NODE: 'node_id',
  OFFERING: 'offering_id',
  STATE: 'state',
  KIND: 'kind',
};

const PERIOD: Record<CostStep, string> = {
  HOUR: `x.at - x.at % 3600000`,
  DAY: `x.at - x.at % 86400000`,
  MONTH: `(extract(epoch from date_trunc('month', to_timestamp(x.at / 1000) at time zone 'UTC')) * 1000)::bigint`,
};

type Counted = (typeof AMOUNTS)[number];
type LineSums = Pick<CostRow, 'key' | 'period'> & Record<Counted | 'unpricedMs', string>;
type UsageSums = Pick<CostRow, 'key' | 'period'> &
  Record<'requests' | 'errors' | 'busyUs' | 'inputTokens' | 'outputTokens' | 'unattributedRequests', string>;

/** A breakdown is one statement over lines and one over usage, whatever the range. */
export class CostQueryRepository implements CostQuery {
  async lineRows(tx: Transaction, question: CostQuestion): Promise<CostRow[]> {
    const { key, period, where, values } = partsOf(question);
    const of = (condition: string) => `coalesce(sum(x.effective) filter (where ${condition}), 0)::text`;
    const rows = await sqlOf(tx).query<LineSums>(
      `select ${key} as key, ${period} as period, sum(x.effective)::text as cost, sum(x.list)::text as list,
          ${of(`x.state = 'serving' and x.group_key <> ''`)} as busy, ${of(`x.state = 'serving' and x.group_key = ''`)} as idle,
          ${of(`x.state = 'starting'`)} as starting, ${of(`x.state = 'draining'`)} as draining, ${of(`x.state = 'unready'`)} as unready,
          ${of(`x.kind = 'node_idle'`)} as "nodeIdle", ${of(`x.kind = 'shared'`)} as shared,
          ${of(`x.kind = 'unallocated'`)} as unattributed,
          ${of(`p.source <> '${OVERRIDE_SOURCE}' and (l.kind = 'local' or (l.kind = 'kubernetes' and x.node_id = '${NO_NODE}') or ${UNCONFIRMED})`)} as estimated,
          coalesce(sum(x.ms) filter (where x.price_id = '${UNPRICED}'), 0)::text as "unpricedMs"
        from (${spreadLines(question.asOf === null ? LINES : LINES_AS_OF, question.spreading)}) x left join price p on p.id = x.price_id
          left join cluster l on l.id = x.cluster_id where ${where} group by 1, 2`,
      [...spanOf(question), question.asOf, ...values],
    );
    return rows.map(toLineRow);
  }

  async usageRows(tx: Transaction, question: CostQuestion): Promise<CostRow[]> {
    const { key, period, where, values } = partsOf(question);
    const rows = await sqlOf(tx).query<UsageSums>(
      `select ${key} as key, ${period} as period, sum(x.requests)::text as requests, sum(x.errors)::text as errors,
          sum(x.busy_us)::text as "busyUs", sum(x.input_tokens)::text as "inputTokens", sum(x.output_tokens)::text as "outputTokens",
          coalesce(sum(x.requests) filter (where x.unattributed), 0)::text as "unattributedRequests"
        from (${usageOf(question)}) x where $5::bigint is null and ${where} group by 1, 2`,
      [...spanOf(question), question.asOf, ...values],
    );
    return rows.map(toUsageRow);
  }

  async labels(tx: Transaction, dimension: CostDimension, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const text = LABELS[dimension];
    const known = ids.filter(isId);
    if (text === undefined || known.length === 0) return new Map();
    const rows = await sqlOf(tx).query<{ id: string; label: string }>(text, [`{${known.join(',')}}`]);
    return new Map(rows.map(({ id, label }) => [id, label]));
  }
}

/** The range and the whole hours in it: from, first hour, end of the last hour, to. Without a whole hour all is read by minute. */
function spanOf({ from, to }: CostQuestion): number[] {
  const first = Math.ceil(from / HOUR_MS) * HOUR_MS;
  const last = Math.floor(to / HOUR_MS) * HOUR_MS;
  return first < last ? [from, first, last, to] : [from, to, to, to];
}

function partsOf({ groupBy, step, filter, access }: CostQuestion) {
  const values: unknown[] = [];
  // Five parameters come before: the span and `asOf`.
  const parameter = (value: readonly string[]): string => `$${values.push(value) + 5}::text[]`;
  const conditions = Object.entries(filter).map(
    ([name, allowed]) => `coalesce(${textOf(name as CostDimension)}, '') = any (${parameter(allowed)})`,
  );
  if (access)
    conditions.push(
      `(x.team_id::text = any (${parameter(access.teamIds)}) or x.project_id::text = any (${parameter(access.projectIds)}))`,
    );
  return {
    key: `jsonb_build_array(${groupBy.map((name) => `coalesce(${textOf(name)}, '')`).join(', ')})`,
    period: step === null ? 'null::bigint' : PERIOD[step],
    where: conditions.length === 0 ? 'true' : conditions.join(' and '),
    values,
  };
}

/** No node is told as nothing. */
const textOf = (name: CostDimension): string =>
  name === 'NODE' ? `nullif(x.node_id, '${NO_NODE}')::text` : `x.${COLUMN[name]}::text`;

/** The feeds that speak of it were all silent in that hour. Where none ever was, that is known at once. */
const SILENT = `select 1 from price_feed_silence s where s.feed = c.feed and s.since < x.at + ${HOUR_MS} and (s.until is null or s.until > x.at)`;
const UNCONFIRMED = `((select count(*) from price_feed_silence) > 0
  and exists (select 1 from price_claim c where c.offering_id = p.offering_id and exists (${SILENT}))
  and not exists (select 1 from price_claim c where c.offering_id = p.offering_id and not exists (${SILENT})))`;

const FIELDS = `price_id, state, group_key, node_id, resource_id, kind, team_id, project_id, deployment_id, revision_id, model_id, model_version_id,
  cluster_id, offering_id, caller_team_id, caller, ms, list, effective`;
const EDGES = (column: string): string => `((${column} >= $1 and ${column} < $2) or (${column} >= $3 and ${column} < $4))`;
const LINES = `select hour as at, ${FIELDS} from ledger_hour where hour >= $2 and hour < $3 and $5::bigint is null
  union all select minute as at, ${FIELDS} from ledger_line where minute >= $1 and minute < $4 and ${EDGES('minute')}`;
// Every span parameter is named, or PostgreSQL could not tell its type.
const LINES_AS_OF = `select minute as at, ${FIELDS} from ledger_line where minute >= $1 and minute < $4 and $2::bigint <= $3::bigint
  and written_at < $5::bigint`;

const NAMES = `resource_id, team_id, project_id, deployment_id, revision_id, model_id, model_version_id, cluster_id, offering_id, caller_team_id,
  caller, node_id, group_key`;
/** In which order equal remainders take what is left over. */
const TIES = `resource_id, price_id, state collate "C", group_key collate "C", node_id`;

/**
 * `spreadLines` of spread-costs.ts in SQL: what belongs to the platform at one time and place is split over the replicas' lines there by
 * largest remainder. `at` is the hour, and the minute at the ends of a range that are no whole hours.
 */
function spreadLines(lines: string, spreading: CostSpreading): string {
  if (spreading === 'NONE') return lines;
  const place = spreading === 'BY_NODE' ? 'node_id' : 'cluster_id';
  const floor = (amount: string): string => `div(p.${amount} * r.effective, r.whole)`;
  const rest = (amount: string): string => `mod(p.${amount} * r.effective, r.whole)`;
  const more = (amount: string): string =>
    `f.${amount}_floor + case when row_number() over (partition by f.at, f.place, f.pool order by f.${amount}_rest desc, ${TIES})
      <= f.${amount} - sum(f.${amount}_floor) over (partition by f.at, f.place, f.pool) then 1 else 0 end`;
  return `with b as (select at, price_id, state, kind, ${NAMES}, sum(ms) as ms, sum(list) as list, sum(effective) as effective
      from (${lines}) y group by at, price_id, state, kind, ${NAMES}),
    r as (select b.*, b.${place} as place, sum(effective) over (partition by at, ${place}) as whole from b where kind = 'replica'),
    p as (select at, ${place} as place, kind as pool, sum(list) as list, sum(effective) as effective from b where kind in ('node_idle', 'shared')
      group by 1, 2, 3),
    f as (select ${NAMES.split(',')
      .map((name) => `r.${name.trim()}`)
      .join(', ')}, r.price_id, r.state, r.at, r.place, p.pool, p.list, p.effective, ${floor('list')} as list_floor,
        ${rest('list')} as list_rest, ${floor('effective')} as effective_floor, ${rest('effective')} as effective_rest
      from r join p on p.at = r.at and p.place = r.place where r.effective > 0),
    d as (select distinct at, place from f)
    select b.at, b.price_id, b.state, b.kind, ${NAMES.replaceAll(/\b(\w+)\b/g, 'b.$1')}, b.ms,
      case when d.at is null then b.list else 0 end as list, case when d.at is null then b.effective else 0 end as effective
      from b left join d on b.kind in ('node_idle', 'shared') and d.at = b.at and d.place = b.${place}
      where d.at is null or b.price_id = '${UNPRICED}'
    union all select f.at, null, '', f.pool, ${NAMES.replaceAll(/\b(\w+)\b/g, 'f.$1')}, 0, ${more('list')}, ${more('effective')} from f`;
}

const QUANTITIES = 'caller_team_id, caller, requests, errors, busy_us, input_tokens, output_tokens';
const usageOf = ({ groupBy, filter }: CostQuestion): string => {
  const isAsked = groupBy.includes('NODE') || filter.NODE !== undefined;
  const node = `(select p.node_id from node_placement p where p.pod_id = u.replica_id order by p.placed_from desc limit 1)`;
  return `select u.*, u.replica_id as resource_id, 'serving' as state, 'replica' as kind, r.team_id, r.project_id, r.deployment_id,
    r.revision_id, v.model_id, v.model_version_id, r.cluster_id, r.offering_id, ${isAsked ? node : 'null::uuid'} as node_id
  from (select hour as at, replica_id, unattributed, ${QUANTITIES} from usage_hour where hour >= $2 and hour < $3
    union all select minute, replica_id, false, ${QUANTITIES} from usage_minute where minute >= $1 and minute < $4 and ${EDGES('minute')}) u
  join replica r on r.id = u.replica_id join revision v on v.id = r.revision_id`;
};

const IN_PROJECT = (table: string): string =>
  `from ${table} y join project p on p.id = y.project_id join team t on t.id = p.team_id where y.id = any ($1::uuid[])`;
const TEAMS = `select id, name as label from team where id = any ($1::uuid[])`;
const PATH = `t.name || '/' || p.name || '/'`;
const LABELS: Partial<Record<CostDimension, string>> = {
  OWNER_TEAM: TEAMS,
  CALLER_TEAM: TEAMS,
  CALLER: `select id, name as label from principal where id = any ($1::uuid[])`,
  PROJECT: `select p.id, t.name || '/' || p.name as label from project p join team t on t.id = p.team_id where p.id = any ($1::uuid[])`,
  MODEL: `select y.id, ${PATH} || y.name as label ${IN_PROJECT('model')}`,
  VERSION: `select y.id, ${PATH} || (select m.name from model m where m.id = y.model_id) || '@' || y.number as label ${IN_PROJECT('model_version')}`,
  DEPLOYMENT: `select y.id, ${PATH} || y.name as label ${IN_PROJECT('deployment')}`,
  REVISION: `select y.id, ${PATH} || (select d.name from deployment d where d.id = y.deployment_id) || '#' || y.number as label ${IN_PROJECT('revision')}`,
  CLUSTER: `select id, name as label from cluster where id = any ($1::uuid[])`,
  NODE: `select node_id as id, name as label from metered_node where node_id = any ($1::uuid[])`,
  REPLICA: `select node_id as id, name as label from metered_node where node_id = any ($1::uuid[])
    union all (select distinct on (pod_id) pod_id, namespace || '/' || name from node_placement
      where pod_id = any ($1::uuid[]) and pod_id not in (select id from replica where id = any ($1::uuid[])) order by pod_id, placed_from desc)`,
  OFFERING: `select id, concat_ws('/', provider, region, coalesce(nullif(zone, ''), '-'), instance_type, capacity_type) as label from offering
    where id = any ($1::uuid[])`,
};

const toLineRow = ({ key, period, unpricedMs, ...amounts }: LineSums): CostRow => ({
  ...NOTHING,
  ...(Object.fromEntries(Object.entries(amounts).map(([name, value]) => [name, BigInt(value)])) as Record<Counted, bigint>),
  key,
  period,
  unpricedMs: Number(unpricedMs),
});

const toUsageRow = ({ key, period, ...counts }: UsageSums): CostRow => ({
  ...NOTHING,
  ...Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, Number(value)])),
  key,
  period,
});
