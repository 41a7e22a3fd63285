import { offeringKeyText, regionOf } from '../clouds/offering-key.ts';
import { formatUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import { totalOf, type CostModel } from './cost-model.ts';
import type { PlacedReplicas } from './fill-places.ts';
import type { Question } from './filter-offerings.ts';
import type { OfferingIndex } from './offering-index.ts';
import { compare, scoreRow, type ScoredOffering } from './score-offerings.ts';

/** The nearest so many losers are explained. Higher: nobody reads it; lower: the next best is not among them. */
const NEAREST = 3;

interface Explained {
  readonly index: OfferingIndex;
  readonly question: Question;
  readonly model: CostModel;
  readonly chosen: ScoredOffering | null;
  readonly best: readonly ScoredOffering[];
  readonly places: readonly PlacedReplicas[];
  /** Rows that would fit if a cluster could rent there, the cheapest first. */
  readonly elsewhere: readonly number[];
}

/** What would lead to another choice: prices at which the nearest losers win, and what cheaper ones lack. */
export function explainPlacement(explained: Explained): string[] {
  return [...losers(explained), ...cheaperElsewhere(explained)];
}

/** Where one place takes all, the rest would have to beat just that. */
function losers({ chosen, best, places }: Explained): string[] {
  const [only, ...others] = places;
  if (!chosen || !only || others.length > 0 || only.poolId !== null) return [];
  return best
    .filter(({ offering }) => offering.id !== chosen.offering.id)
    .slice(0, NEAREST)
    .map((loser) => sentenceOf(loser, chosen));
}

/** At which price the loser wins. */
export function sentenceOf(loser: ScoredOffering, chosen: ScoredOffering): string {
  const below = winsBelow(loser, chosen);
  const what = offeringKeyText(loser.offering);
  return below === null
    ? `${what} would not win at any price: what it costs besides is more than ${formatUsd(chosen.score)} USD per hour.`
    : `${what} wins ${bound(below)}; it costs ${formatUsd(loser.price.effective)}.`;
}

/**
 * The price of one machine below which the loser wins, exactly: there it is taken at any lower price and at none that is as high or higher. Null = not
 * even for nothing.
 */
export function winsBelow(loser: ScoredOffering, winner: ScoredOffering): PicoUsdPerHour | null {
  const besides = totalOf({ ...loser.cost, price: 0n });
  const room = winner.score - besides;
  const machines = BigInt(loser.machines);
  // At the winner's very total the key decides.
  const winsTies = compare(offeringKeyText(loser.offering), offeringKeyText(winner.offering)) < 0;
  const below = winsTies ? floorDiv(room, machines) + 1n : ceilDiv(room, machines);
  return below > 0n ? below : null;
}

const floorDiv = (a: bigint, b: bigint): bigint => (a >= 0n ? a / b : -((-a + b - 1n) / b));
const ceilDiv = (a: bigint, b: bigint): bigint => -floorDiv(-a, b);

function cheaperElsewhere({ index, question, model, chosen, elsewhere }: Explained): string[] {
  const replicas = Math.max(1, question.demand.replicas ?? 1);
  const scored = elsewhere.map((row) => scoreRow({ index, question, model, replicas }, row));
  return scored
    .sort((a, b) => compare(a.score, b.score) || compare(index.keyOf(a.row), index.keyOf(b.row)))
    .filter(({ score }) => chosen === null || score < chosen.score)
    .slice(0, NEAREST)
    .map(({ offering, score }) => {
      const saving = chosen ? `, ${formatUsd(chosen.score - score)} less than what was chosen` : '';
      return `${offeringKeyText(offering)} would cost ${formatUsd(score)} USD per hour${saving}, if a cluster could rent in ${regionOf(offering)}.`;
    });
}

/** The last price that wins where that is the rounder number. */
function bound(below: bigint): string {
  const [least, last] = [formatUsd(below), formatUsd(below - 1n)];
  return last.length < least.length ? `at ${last} USD per hour or less` : `below ${least} USD per hour`;
}
