import type { Visible } from '../identity/authorize.ts';
import { DAY_MS, hourOf, MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import type { PicoUsd } from '../kernel/money.ts';
import type { LineShare } from './attribute-costs.ts';
import type { LineResource } from './ledger-line.ts';

export const COST_DIMENSIONS = [
  'OWNER_TEAM',
  'CALLER_TEAM',
  'CALLER',
  'PROJECT',
  'MODEL',
  'VERSION',
  'DEPLOYMENT',
  'REVISION',
  'REPLICA',
  'CLUSTER',
  'NODE',
  'OFFERING',
  'STATE',
  'KIND',
] as const;
export type CostDimension = (typeof COST_DIMENSIONS)[number];
export const COST_STEPS = ['HOUR', 'DAY', 'MONTH'] as const;
export type CostStep = (typeof COST_STEPS)[number];

/** Over whom the platform's part of shared nodes is spread: nobody, or replicas on the same node or in the same cluster. */
export const COST_SPREADINGS = ['NONE', 'BY_NODE', 'BY_CLUSTER'] as const;
export type CostSpreading = (typeof COST_SPREADINGS)[number];

/** Only what has one of the listed values in each given dimension. */
export type CostFilter = Partial<Record<CostDimension, readonly string[]>>;

export interface CostQuestion {
  readonly from: Instant;
  readonly to: Instant;
  readonly groupBy: readonly CostDimension[];
  readonly step: CostStep | null;
  readonly filter: CostFilter;
  readonly spreading: CostSpreading;
  /** Whose costs may be seen; null = everybody's. */
  readonly access: Visible | null;
  /** Only lines that were written before this instant; null = all. */
  readonly asOf: Instant | null;
}

/** What the lines of one group sum to. Amounts are effective cost in pico-dollars. */
export interface CostSums {
  readonly cost: PicoUsd;
  readonly list: PicoUsd;
  readonly busy: PicoUsd;
  readonly idle: PicoUsd;
  readonly starting: PicoUsd;
  readonly draining: PicoUsd;
  readonly unready: PicoUsd;
  /** Capacity of shared nodes that nobody had. */
  readonly nodeIdle: PicoUsd;
  /** Pods on shared nodes that are no replicas. */
  readonly shared: PicoUsd;
  /** Cost that could not be given to anybody. */
  readonly unattributed: PicoUsd;
  /** Part of the cost at a price that is assumed: a replica on a machine of one's own, for which nobody has set a price. */
  readonly estimated: PicoUsd;
  readonly unpricedMs: number;
  readonly requests: number;
  readonly errors: number;
  readonly busyUs: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Requests whose usage came too late to be given a cost. */
  readonly unattributedRequests: number;
}

export interface CostRow extends CostSums {
  /** One value per dimension, ids where there are ids; empty where a line has none. */
  readonly key: readonly string[];
  /** Start of the step in UTC; null without a step. */
  readonly period: Instant | null;
}

export const NOTHING: CostSums = {
  cost: 0n,
  list: 0n,
  busy: 0n,
  idle: 0n,
  starting: 0n,
  draining: 0n,
  unready: 0n,
  nodeIdle: 0n,
  shared: 0n,
  unattributed: 0n,
  estimated: 0n,
  unpricedMs: 0,
  requests: 0,
  errors: 0,
  busyUs: 0,
  inputTokens: 0,
  outputTokens: 0,
  unattributedRequests: 0,
};

export const AMOUNTS = [
  'cost',
  'list',
  'busy',
  'idle',
  'starting',
  'draining',
  'unready',
  'nodeIdle',
  'shared',
  'unattributed',
  'estimated',
] as const;
const COUNTS = ['unpricedMs', 'requests', 'errors', 'busyUs', 'inputTokens', 'outputTokens', 'unattributedRequests'] as const;

function addSums(a: CostSums, b: CostSums): CostSums {
  const amounts = Object.fromEntries(AMOUNTS.map((name) => [name, a[name] + b[name]]));
  const counts = Object.fromEntries(COUNTS.map((name) => [name, a[name] + b[name]]));
  return { ...NOTHING, ...amounts, ...counts };
}

/** Rows of the same key and period become one; the sum of all rows stays what it was. Oldest period first, then by cost. */
export function mergeRows(rows: readonly CostRow[]): CostRow[] {
  const merged = new Map<string, CostRow>();
  for (const row of rows) {
    const name = JSON.stringify([row.period, row.key]);
    const before = merged.get(name);
    merged.set(name, before ? { ...addSums(before, row), key: row.key, period: row.period } : row);
  }
  return [...merged.values()].sort(
    (a, b) => (a.period ?? 0) - (b.period ?? 0) || compareCost(b.cost, a.cost) || (a.key.join() < b.key.join() ? -1 : 1),
  );
}

const compareCost = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

export const totalOf = (rows: readonly CostSums[]): CostSums => rows.reduce(addSums, NOTHING);

/** The whole minutes that a range touches. */
export const effectiveRange = (from: Instant, to: Instant): { from: Instant; to: Instant } => ({
  from: minuteOf(from),
  to: minuteOf(to + MINUTE_MS - 1),
});

/** The start of the step that `at` lies in. */
function periodOf(step: CostStep | null, at: Instant): Instant | null {
  if (step === null) return null;
  if (step === 'HOUR') return hourOf(at);
  const day = new Date(at);
  return step === 'DAY' ? at - (at % DAY_MS) : Date.UTC(day.getUTCFullYear(), day.getUTCMonth());
}

/** A line of a minute that is still open. */
export interface OpenLine extends LineResource, LineShare {
  readonly minute: Instant;
  /** Its price is only assumed. */
  readonly assumed: boolean;
}

/** The row that a line of an open minute would add, or null where the question leaves it out. */
export function rowOfLine(question: CostQuestion, line: OpenLine): CostRow | null {
  const values = valuesOf(line);
  if (!isWanted(question, values) || !isVisible(question.access, line)) return null;
  return {
    ...NOTHING,
    key: question.groupBy.map((dimension) => values[dimension]),
    period: periodOf(question.step, line.minute),
    cost: line.effective,
    list: line.list,
    [partOf(line)]: line.effective,
    estimated: line.assumed ? line.effective : 0n,
    unpricedMs: line.priceId === null ? line.ms : 0,
  };
}

/** Whether any line of this resource can be part of the answer. */
export function concerns(question: CostQuestion, resource: LineResource): boolean {
  return isWanted(question, resourceValues(resource)) && isVisible(question.access, resource);
}

const isWanted = ({ filter }: CostQuestion, values: Partial<Record<CostDimension, string>>): boolean =>
  Object.entries(filter).every(([dimension, allowed]) => {
    const value = values[dimension as CostDimension];
    return value === undefined || allowed.includes(value);
  });

/** The part of a row that a line counts in. */
function partOf({ kind, state, group }: OpenLine): keyof CostSums {
  if (kind !== 'replica') return kind === 'shared' ? 'shared' : 'nodeIdle';
  if (state === 'serving') return group === null ? 'idle' : 'busy';
  return state === '' ? 'unattributed' : state;
}

/** What belongs to no team is the platform's. */
const isVisible = (access: Visible | null, { teamId, projectId }: LineResource): boolean =>
  access === null || access.teamIds.includes(teamId ?? '') || access.projectIds.includes(projectId ?? '');

const valuesOf = (line: OpenLine): Record<CostDimension, string> => ({
  ...resourceValues(line),
  CALLER_TEAM: line.group?.callerTeamId ?? '',
  CALLER: line.group?.caller ?? '',
  STATE: line.state,
});

const resourceValues = (resource: LineResource) => ({
  OWNER_TEAM: resource.teamId ?? '',
  PROJECT: resource.projectId ?? '',
  MODEL: resource.modelId ?? '',
  VERSION: resource.modelVersionId ?? '',
  DEPLOYMENT: resource.deploymentId ?? '',
  REVISION: resource.revisionId ?? '',
  REPLICA: resource.resourceId,
  CLUSTER: resource.clusterId,
  NODE: resource.nodeId ?? '',
  OFFERING: resource.offeringId ?? '',
  KIND: resource.kind,
});
