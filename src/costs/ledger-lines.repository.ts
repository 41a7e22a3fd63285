import type { ReplicaState } from '../deployments/cluster.port.ts';
import type { Id } from '../kernel/id.ts';
import { hourOf, type Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { sqlOf } from '../persistence/sql.ts';
import type { UsageGroup } from './attribute-costs.ts';
import { groupKeyOf, type LedgerLine } from './ledger-line.ts';
import type { BookedLine } from './restate.ts';

/** Stands for "no price" and for "no node" in keys, where null would make two equal lines different. */
export const UNPRICED = '00000000-0000-0000-0000-000000000000';
export const NO_NODE = UNPRICED;

const AMOUNTS = ['ms', 'list', 'contracted', 'effective'];
const KEY = 'price_id, state, group_key, node_id';
const REST = `kind, team_id, project_id, deployment_id, revision_id, model_id, model_version_id, cluster_id, offering_id,
  caller_team_id, caller, call_kind, experiment`;
const of = (columns: string): string =>
  columns
    .split(',')
    .map((column) => `x.${column.trim()}`)
    .join(', ');

const LINES = `jsonb_to_recordset($1::jsonb) as x(resource_id uuid, minute bigint, hour bigint, price_id uuid, state text, group_key text,
    node_id uuid, n integer, kind text, team_id uuid, project_id uuid, deployment_id uuid, revision_id uuid, model_id uuid,
    model_version_id uuid, cluster_id uuid, offering_id uuid, caller_team_id uuid, caller uuid, call_kind text, experiment text,
    ms bigint, list numeric, contracted numeric, effective numeric)`;

const APPEND_LINES = `
  insert into ledger_line (resource_id, minute, ${KEY}, n, ${REST}, ${AMOUNTS.join(', ')}, written_at)
  select x.resource_id, x.minute, ${of(KEY)}, x.n, ${of(REST)}, ${of(AMOUNTS.join())}, $2 from ${LINES}`;

/** The rest of a row follows from its key, except for the offering of what has no price: any of them will do. */
const ADD_TO_HOURS = `
  insert into ledger_hour (resource_id, hour, ${KEY}, ${REST}, ${AMOUNTS.join(', ')})
  select x.resource_id, x.hour, ${of(KEY)}, ${of(REST).replace('x.offering_id', 'min(x.offering_id::text)::uuid')},
      ${AMOUNTS.map((column) => `sum(x.${column})`).join(', ')}
    from ${LINES} group by x.resource_id, x.hour, ${of(KEY)}, ${of(REST).replace('x.offering_id,', '')}
  on conflict (resource_id, hour, ${KEY}) do update set
    ${AMOUNTS.map((column) => `${column} = ledger_hour.${column} + excluded.${column}`).join(', ')}`;

/** Appends lines and adds them to the hourly sums, making the month's partition where it is missing. */
export async function appendLines(tx: Transaction, lines: readonly LedgerLine[], now: Instant): Promise<void> {
  if (lines.length === 0) return;
  const sql = sqlOf(tx);
  for (const at of monthsOf(lines)) await sql.query(`select purser_ledger_month($1)`, [at]);
  const json = JSON.stringify(lines.map(lineJson));
  await sql.execute(APPEND_LINES, [json, now]);
  await sql.execute(ADD_TO_HOURS, [json]);
}

interface LineJson {
  readonly resourceId: Id;
  readonly minute: Instant;
  readonly priceId: Id;
  readonly state: ReplicaState | '';
  readonly callerTeamId: Id | null;
  readonly caller: Id | null;
  readonly callKind: UsageGroup['kind'] | null;
  readonly experiment: string | null;
  readonly lines: number;
  readonly ms: string;
  readonly list: string;
  readonly contracted: string;
  readonly effective: string;
}

const BOOKED = `select resource_id as "resourceId", minute, price_id as "priceId", state, caller_team_id as "callerTeamId", caller,
    call_kind as "callKind", experiment, count(*)::integer as lines, sum(ms)::text as ms, sum(list)::text as list,
    sum(contracted)::text as contracted, sum(effective)::text as effective
  from ledger_line where minute = any ($2::bigint[]) and`;

/** The sums of a replica's lines at its own offering's price, by minute. */
export async function bookedLines(
  tx: Transaction,
  replicaId: Id,
  minutes: readonly Instant[],
): Promise<ReadonlyMap<Instant, BookedLine[]>> {
  const rows = await sqlOf(tx).query<LineJson>(
    `${BOOKED} resource_id = $1 and node_id = '${NO_NODE}' group by 1, 2, 3, 4, 5, 6, 7, 8`,
    [replicaId, `{${minutes.join(',')}}`],
  );
  return new Map([...Map.groupBy(rows, ({ minute }) => minute)].map(([minute, lines]) => [minute, lines.map(toBooked)]));
}

/** The sums of the lines that share out a node, by minute and resource. */
export async function bookedNodeLines(
  tx: Transaction,
  nodeId: Id,
  minutes: readonly Instant[],
): Promise<ReadonlyMap<Instant, ReadonlyMap<Id, BookedLine[]>>> {
  const rows = await sqlOf(tx).query<LineJson>(
    `${BOOKED} node_id = $1 and node_id <> '${NO_NODE}' group by 1, 2, 3, 4, 5, 6, 7, 8`,
    [nodeId, `{${minutes.join(',')}}`],
  );
  return new Map(
    [...Map.groupBy(rows, ({ minute }) => minute)].map(([minute, lines]) => [
      minute,
      new Map([...Map.groupBy(lines, ({ resourceId }) => resourceId)].map(([id, own]) => [id, own.map(toBooked)])),
    ]),
  );
}

function toBooked(row: LineJson): BookedLine {
  const { priceId, callerTeamId, caller, callKind, experiment } = row;
  const group =
    callerTeamId && caller && callKind ? { callerTeamId, caller, kind: callKind, experiment: experiment ?? '' } : null;
  return {
    priceId: priceId === UNPRICED ? null : priceId,
    state: row.state,
    group,
    lines: row.lines,
    ms: Number(row.ms),
    list: BigInt(row.list),
    contracted: BigInt(row.contracted),
    effective: BigInt(row.effective),
  };
}

const lineJson = (line: LedgerLine) => ({
  ...callerJson(line.group),
  resource_id: line.resourceId,
  minute: line.minute,
  hour: hourOf(line.minute),
  price_id: line.priceId ?? UNPRICED,
  state: line.state,
  node_id: line.nodeId ?? NO_NODE,
  n: line.n,
  kind: line.kind,
  team_id: line.teamId,
  project_id: line.projectId,
  deployment_id: line.deploymentId,
  revision_id: line.revisionId,
  model_id: line.modelId,
  model_version_id: line.modelVersionId,
  cluster_id: line.clusterId,
  offering_id: line.offeringId,
  ms: line.ms,
  list: line.list.toString(),
  contracted: line.contracted.toString(),
  effective: line.effective.toString(),
});

const callerJson = (group: UsageGroup | null) => ({
  group_key: groupKeyOf(group),
  caller_team_id: group?.callerTeamId ?? null,
  caller: group?.caller ?? null,
  call_kind: group?.kind ?? null,
  experiment: group?.experiment ?? null,
});

/** One instant of each month that lines fall in, and of the month after, so that the next one is there before it begins. */
function monthsOf(lines: readonly LedgerLine[]): Instant[] {
  const months = lines.flatMap(({ minute }) => {
    const at = new Date(minute);
    return [Date.UTC(at.getUTCFullYear(), at.getUTCMonth()), Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1)];
  });
  return [...new Set(months)].sort((a, b) => a - b);
}
