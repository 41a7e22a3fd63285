import { visibleTo } from '../identity/authorize.ts';
import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, minuteOf, type Instant } from '../kernel/instant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Transaction } from '../kernel/transaction.ts';
import { attributeMinute } from './attribute-costs.ts';
import {
  concerns,
  effectiveRange,
  mergeRows,
  rowOfLine,
  totalOf,
  type CostDimension,
  type CostFilter,
  type CostQuestion,
  type CostRow,
  type CostStep,
  type CostSums,
} from './cost-breakdown.ts';
import type { CostQuery } from './cost-query.port.ts';
import type { CostStore, ReplicaProgress } from './cost-store.port.ts';
import { minutesBetween } from './settle.ts';

/** Rows of one answer. Higher lets one question fill the memory; lower refuses honest reports over many callers. */
export const MAX_ROWS = 10_000;
/** Open minutes that one question computes. Higher answers slowly when closing has stood still for long, lower refuses then. */
const MAX_OPEN_MINUTES = 200_000;

export interface BreakdownInput {
  readonly from: Instant;
  readonly to: Instant;
  readonly groupBy: readonly CostDimension[];
  readonly step?: CostStep | null;
  readonly filter?: CostFilter;
  /** Costs as the ledger told them at that instant: without open minutes. */
  readonly asOf?: Instant | null;
  readonly now: Instant;
}

export interface Breakdown {
  readonly rows: readonly LabelledRow[];
  readonly total: CostSums;
  readonly effectiveRange: { readonly from: Instant; readonly to: Instant };
  /** Some minute of the range is open: its part is computed as if nothing more came. */
  readonly isEstimate: boolean;
  /** The earliest open minute, or the end of the range. */
  readonly reconciledUntil: Instant;
}

export interface LabelledRow extends CostRow {
  readonly labels: readonly { readonly dimension: CostDimension; readonly value: string }[];
}

/** The question is too large to be answered at once; the message says what to narrow. */
export class TooMuchAsked extends Error {
  override readonly name = 'TooMuchAsked';
}

export interface CostsDeps {
  readonly store: CostStore;
  readonly query: CostQuery;
}

/** What things cost, in any grouping: closed minutes from the ledger, open ones computed by the same function. */
export class CostsService {
  readonly #deps: CostsDeps;

  constructor(deps: CostsDeps) {
    this.#deps = deps;
  }

  /** The rows sum to the total exactly. A principal sees the costs of teams and projects that they may read; of others, none. */
  async breakdown(tx: Transaction, principal: Principal, input: BreakdownInput): Promise<Breakdown> {
    const range = effectiveRange(input.from, Math.max(input.from, input.to));
    const question: CostQuestion = {
      ...range,
      groupBy: input.groupBy,
      step: input.step ?? null,
      filter: input.filter ?? {},
      access: visibleTo(principal, 'cost.read'),
      asOf: input.asOf ?? null,
    };
    const open = question.asOf === null ? await this.#openRows(tx, question, input.now) : { rows: [], earliest: null };
    const lines = await this.#deps.query.lineRows(tx, question);
    const usage = await this.#deps.query.usageRows(tx, question);
    const rows = mergeRows([...lines, ...open.rows, ...usage]);
    if (rows.length > MAX_ROWS)
      throw new TooMuchAsked(`The answer has more than ${MAX_ROWS} rows: group by less, or ask for a shorter range.`);
    return {
      rows: await this.#labelled(tx, rows, input.groupBy),
      total: totalOf(rows),
      effectiveRange: range,
      isEstimate: open.earliest !== null,
      reconciledUntil: open.earliest ?? range.to,
    };
  }

  /** The breakdown of each of these things by itself, in two statements for all of them. */
  async breakdownsOf(
    tx: Transaction,
    principal: Principal,
    {
      dimension,
      ids,
      ...input
    }: Omit<BreakdownInput, 'groupBy' | 'filter'> & { readonly dimension: CostDimension; readonly ids: readonly Id[] },
  ): Promise<Map<Id, Breakdown>> {
    const all = await this.breakdown(tx, principal, { ...input, groupBy: [dimension], filter: { [dimension]: ids } });
    return new Map(
      ids.map((id) => {
        const rows = all.rows.filter(({ key }) => key[0] === id);
        return [id, { ...all, rows, total: totalOf(rows) }];
      }),
    );
  }

  async #openRows(tx: Transaction, question: CostQuestion, now: Instant): Promise<{ rows: CostRow[]; earliest: Instant | null }> {
    const { store } = this.#deps;
    const spans = (await store.openReplicas(tx, question.from))
      .map((replica) => openSpan(replica, question, now))
      .filter(({ from, to }) => from < to);
    if (spans.length === 0) return { rows: [], earliest: null };
    const count = spans.reduce((all, { from, to }) => all + (to - from) / MINUTE_MS, 0);
    if (count > MAX_OPEN_MINUTES)
      throw new TooMuchAsked('Too many minutes of this range are not closed yet: ask for a shorter range.');
    const range = { from: Math.min(...spans.map(({ from }) => from)), to: Math.max(...spans.map(({ to }) => to)) };
    const ids = spans.map(({ replicaId }) => replicaId);
    const costed = await store.costedReplicas(tx, ids, range);
    const replicas = new Map(
      costed.filter((replica) => concerns(question, replica)).map((replica) => [replica.replicaId, replica]),
    );
    const usage = await store.usageOf(tx, ids, range);
    const rows = spans.flatMap((span) => {
      const replica = replicas.get(span.replicaId);
      if (!replica) return [];
      return minutesBetween(span.from, span.to).flatMap((minute) =>
        attributeMinute({
          ...replica,
          minute,
          knownUntil: now,
          usage: usage.get(span.replicaId)?.get(minute) ?? [],
        }).flatMap((line) => rowOfLine(question, replica, { ...line, minute }) ?? []),
      );
    });
    const told = spans.filter(({ replicaId }) => replicas.has(replicaId)).map(({ from }) => from);
    return { rows: mergeRows(rows), earliest: told.length === 0 ? null : Math.min(...told) };
  }

  async #labelled(tx: Transaction, rows: readonly CostRow[], groupBy: readonly CostDimension[]): Promise<LabelledRow[]> {
    const labels: ReadonlyMap<string, string>[] = [];
    for (const [index, dimension] of groupBy.entries()) {
      labels.push(await this.#deps.query.labels(tx, dimension, [...new Set(rows.map(({ key }) => key[index] ?? ''))]));
    }
    return rows.map((row) => ({
      ...row,
      labels: groupBy.map((dimension, index) => {
        const value = row.key[index] ?? '';
        return { dimension, value: labels[index]?.get(value) ?? value };
      }),
    }));
  }
}

/** The open minutes of a replica that a question touches. */
function openSpan(replica: ReplicaProgress, question: CostQuestion, now: Instant): { replicaId: Id; from: Instant; to: Instant } {
  const end = Math.min(replica.capacityUntil ?? now, now);
  return {
    replicaId: replica.replicaId,
    from: Math.max(question.from, replica.closedUntil),
    to: Math.min(question.to, minuteOf(end + MINUTE_MS - 1)),
  };
}
