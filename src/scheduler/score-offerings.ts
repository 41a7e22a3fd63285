import { invariant } from '../kernel/invariant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { totalOf, type CostModel, type CostParts } from './cost-model.ts';
import { machinesFor, replicasPerMachine, type PricedCandidate, type Question } from './filter-offerings.ts';
import type { OfferingIndex } from './offering-index.ts';

export interface ScoredOffering extends PricedCandidate {
  /** Lower is better: pico-USD per hour that all replicas there cost. Exact, so that equal prices are equal. */
  readonly score: PicoUsdPerHour;
  /** What the score is made of. */
  readonly cost: CostParts;
  readonly machines: number;
  /** That those machines are for. */
  readonly replicas: number;
}

export interface ScoredRow extends ScoredOffering {
  /** Its place among the candidates. */
  readonly row: number;
}

export interface Scoring {
  readonly index: OfferingIndex;
  readonly question: Question;
  readonly model: CostModel;
  readonly replicas: number;
}

/** Best first. Ties go by the offering's key, in code-unit order, so that the same market gives the same answer everywhere. */
export const scoreRows = (scoring: Scoring, rows: readonly number[]): ScoredRow[] =>
  rows
    .map((row) => scoreRow(scoring, row))
    .sort((a, b) => compare(a.score, b.score) || compare(scoring.index.keyOf(a.row), scoring.index.keyOf(b.row)));

/** Of a row that fits. */
export function scoreRow({ index, question, model, replicas }: Scoring, row: number): ScoredRow {
  const candidate = index.candidates[row];
  invariant(candidate?.price, `row ${row} of the offerings has a price`);
  const { offering, price } = candidate;
  const machines = machinesFor(replicas, replicasPerMachine(question, offering));
  const cost = model.parts(offering, price.effective, { replicas, machines });
  return { row, offering, price, machines, replicas, cost, score: totalOf(cost) };
}

export const compare = <T extends bigint | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
