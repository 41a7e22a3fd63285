import { visibleTo } from '../identity/authorize.ts';
import type { Id } from '../kernel/id.ts';
import { MINUTE_MS, type Instant } from '../kernel/instant.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
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
  type CostSpreading,
  type CostStep,
  type CostSums,
} from './cost-breakdown.ts';
import type { CostQuery } from './cost-query.port.ts';
import type { CostStore } from './cost-store.port.ts';
import { resourceOfReplica } from './ledger-line.ts';
import type { NodeCostStore } from './node-cost-store.port.ts';
import { openLinesOfNode, openLinesOfReplica, openSpan, type OpenFacts, type OpenSpan } from './open-minutes.ts';
import { spreadLines } from './spread-costs.ts';

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
  /** Over whom idle capacity of shared nodes and other people's pods are spread; nobody unless told. */
  readonly spreading?: CostSpreading;
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
  readonly nodes: NodeCostStore;
  readonly database: Pick<Database, 'read'>;
}

/** What a team's part of a shared node costs depends on everybody's pods on it: that is computed as the platform, and narrowed to what the asker may see. */
const EVERYBODY: Scope = { kind: 'reconciler', loop: 'costs of shared nodes' };

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
      spreading: input.spreading ?? 'NONE',
      access: visibleTo(principal, 'cost.read'),
      asOf: input.asOf ?? null,
    };
    const { rows, earliest } = (await this.#needsEverybody(tx, question))
      ? await this.#deps.database.read(EVERYBODY, (everybody) => this.#rows(everybody, question, input.now))
      : await this.#rows(tx, question, input.now);
    if (rows.length > MAX_ROWS)
      throw new TooMuchAsked(`The answer has more than ${MAX_ROWS} rows: group by less, or ask for a shorter range.`);
    return {
      rows: await this.#labelled(tx, rows, input.groupBy),
      total: totalOf(rows),
      effectiveRange: range,
      isEstimate: earliest !== null,
      reconciledUntil: earliest ?? range.to,
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

  /** Row-level security shows a team its own lines; that is enough as long as nothing of other teams is computed with. */
  async #needsEverybody(tx: Transaction, question: CostQuestion): Promise<boolean> {
    if (question.access === null) return false;
    if (question.spreading !== 'NONE' || question.groupBy.includes('NODE') || question.filter.NODE) return true;
    return question.asOf === null && (await this.#deps.nodes.anyOpen(tx, question));
  }

  async #rows(tx: Transaction, question: CostQuestion, now: Instant): Promise<{ rows: CostRow[]; earliest: Instant | null }> {
    const { query } = this.#deps;
    const open = question.asOf === null ? await this.#openRows(tx, question, now) : { rows: [], earliest: null };
    const lines = await query.lineRows(tx, question);
    const usage = await query.usageRows(tx, question);
    return { rows: mergeRows([...lines, ...open.rows, ...usage]), earliest: open.earliest };
  }

  async #openRows(tx: Transaction, question: CostQuestion, now: Instant): Promise<{ rows: CostRow[]; earliest: Instant | null }> {
    const { store, nodes } = this.#deps;
    const span = { from: question.from, to: question.to, now };
    const isOpen = ({ from, to }: OpenSpan): boolean => from < to;
    const ofReplicas = (await store.openReplicas(tx, question.from))
      .map((one) => openSpan(one.replicaId, one, span))
      .filter(isOpen);
    const ofNodes = (await nodes.openNodes(tx, question.from)).map((one) => openSpan(one.nodeId, one, span)).filter(isOpen);
    const spans = [...ofReplicas, ...ofNodes];
    if (spans.length === 0) return { rows: [], earliest: null };
    if (spans.reduce((all, { from, to }) => all + (to - from) / MINUTE_MS, 0) > MAX_OPEN_MINUTES)
      throw new TooMuchAsked('Too many minutes of this range are not closed yet: ask for a shorter range.');
    const range = { from: Math.min(...spans.map(({ from }) => from)), to: Math.max(...spans.map(({ to }) => to)) };
    const ids = ofNodes.map(({ id }) => id);
    const costed = new Map((await nodes.costedNodes(tx, ids, range)).map((node) => [node.nodeId, node]));
    const pods = [...costed.values()].flatMap((node) => node.pods.filter(({ isReplica }) => isReplica).map(({ podId }) => podId));
    const facts = await this.#factsOf(tx, [...new Set([...ofReplicas.map(({ id }) => id), ...pods])], { range, now });
    const told: Instant[] = [];
    const lines = ofReplicas.flatMap((one) => {
      const replica = facts.replicas.get(one.id);
      const isConcerned = replica && concerns(question, resourceOfReplica(replica, null));
      if (isConcerned) told.push(one.from);
      // Those that are left out of the answer may still be what something is spread over.
      return replica && (isConcerned || question.spreading !== 'NONE') ? openLinesOfReplica(one, replica, facts) : [];
    });
    const ofNode = ofNodes.flatMap((one) => {
      const node = costed.get(one.id);
      return node ? openLinesOfNode(one, node, facts) : [];
    });
    const rows = spreadLines([...lines, ...ofNode], question.spreading).flatMap((line) => {
      const row = rowOfLine(question, line);
      if (row && line.nodeId !== null) told.push(line.minute);
      return row ?? [];
    });
    return { rows: mergeRows(rows), earliest: told.length === 0 ? null : told.reduce((least, at) => Math.min(least, at)) };
  }

  async #factsOf(
    tx: Transaction,
    ids: readonly Id[],
    { range, now }: { readonly range: { readonly from: Instant; readonly to: Instant }; readonly now: Instant },
  ): Promise<OpenFacts> {
    const { store } = this.#deps;
    const replicas = await store.costedReplicas(tx, ids, range);
    const usage = await store.usageOf(tx, ids, range);
    return { replicas: new Map(replicas.map((replica) => [replica.replicaId, replica])), usage, now };
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
