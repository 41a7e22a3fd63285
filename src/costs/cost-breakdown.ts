import type { Visible } from '../identity/authorize.ts';
import { DAY_MS, hourOf, MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import type { PicoUsd } from '../kernel/money.ts';
import type { LineShare } from './attribute-costs.ts';
import type { CostedReplica } from './cost-store.port.ts';

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
  'OFFERING',
  'STATE',
  'KIND',
] as const;
export type CostDimension = (typeof COST_DIMENSIONS)[number];
export const COST_STEPS = ['HOUR', 'DAY', 'MONTH'] as const;
export type CostStep = (typeof COST_STEPS)[number];

/** Only what has one of the listed values in each given dimension. */
export type CostFilter = Partial<Record<CostDimension, readonly string[]>>;

export interface CostQuestion {
  readonly from: Instant;
  readonly to: Instant;
  readonly groupBy: readonly CostDimension[];
  readonly step: CostStep | null;
  readonly filter: CostFilter;
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

const AMOUNTS = ['cost', 'list', 'busy', 'idle', 'starting', 'draining', 'unready', 'unattributed', 'estimated'] as const;
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

/** The row that a line of an open minute would add, or null where the question leaves it out. */
export function rowOfLine(
  question: CostQuestion,
  replica: CostedReplica,
  line: LineShare & { readonly minute: Instant },
): CostRow | null {
  const values = valuesOf(replica, line);
  const wanted = Object.entries(question.filter).every(([dimension, allowed]) =>
    allowed.includes(values[dimension as CostDimension]),
  );
  if (!wanted || !isVisible(question.access, replica)) return null;
  const state = line.state === 'serving' ? (line.group === null ? 'idle' : 'busy') : line.state;
  return {
    ...NOTHING,
    key: question.groupBy.map((dimension) => values[dimension]),
    period: periodOf(question.step, line.minute),
    cost: line.effective,
    list: line.list,
    [state]: line.effective,
    estimated: line.priceId !== null && replica.assumedPrices.has(line.priceId) ? line.effective : 0n,
    unpricedMs: line.priceId === null ? line.ms : 0,
  };
}

/** Whether any line of this replica can be part of the answer. */
export function concerns(question: CostQuestion, replica: CostedReplica): boolean {
  const values: Partial<Record<CostDimension, string>> = resourceValues(replica);
  const wanted = Object.entries(question.filter).every(([dimension, allowed]) => {
    const value = values[dimension as CostDimension];
    return value === undefined || allowed.includes(value);
  });
  return wanted && isVisible(question.access, replica);
}

const isVisible = (access: Visible | null, replica: CostedReplica): boolean =>
  access === null || access.teamIds.includes(replica.teamId) || access.projectIds.includes(replica.projectId);

const valuesOf = (replica: CostedReplica, line: LineShare): Record<CostDimension, string> => ({
  ...resourceValues(replica),
  CALLER_TEAM: line.group?.callerTeamId ?? '',
  CALLER: line.group?.caller ?? '',
  STATE: line.state,
});

const resourceValues = (replica: CostedReplica) => ({
  OWNER_TEAM: replica.teamId,
  PROJECT: replica.projectId,
  MODEL: replica.modelId,
  VERSION: replica.modelVersionId,
  DEPLOYMENT: replica.deploymentId,
  REVISION: replica.revisionId,
  REPLICA: replica.replicaId,
  CLUSTER: replica.clusterId,
  OFFERING: replica.offeringId,
  KIND: 'replica',
});
