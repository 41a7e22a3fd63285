import { offeringIdOf, offeringKeyText, regionOf, type OfferingKey } from '../clouds/offering-key.ts';
import type { ObservedPrice, PriceReading } from '../clouds/price-feed.port.ts';
import type { Id } from '../kernel/id.ts';
import { DAY_MS, type Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import {
  isSettled,
  judgePrice,
  saidOf,
  type Doubt,
  type DoubtCode,
  type ForetoldPrice,
  type KnownOffering,
  type Question,
} from './judge-price.ts';
import { movesOf } from './move-price.ts';

/** A reading with less than this share of the rows of the last one is torn. Higher refuses honest clean-ups, lower believes half a page. */
const MIN_SHARE = 0.7;
/** A reading of which more than this share is damaged is refused. Higher believes the rest of a broken source, lower lets few rows stop all. */
const MAX_DAMAGED_SHARE = 0.3;
/** Fewer rows than this prove nothing about a whole reading. */
const MIN_ROWS_TO_COMPARE = 10;
/** A source's clock may be ahead by so much. */
const MAX_AHEAD_MS = DAY_MS;

export const REFUSAL_CODES = ['INCOMPLETE', 'MOSTLY_DAMAGED', 'CLOCK_WENT_BACK', 'CLOCK_AHEAD', 'EMPTY'] as const;

/** Why a whole reading is not believed. */
export interface Refusal {
  readonly code: (typeof REFUSAL_CODES)[number];
  readonly message: string;
}

/** What a feed and the world said before. */
export interface KnownPrices {
  readonly offerings: ReadonlyMap<Id, KnownOffering>;
  /** Rows of the last reading that was believed, by `provider/region`. */
  readonly rowsByRegion: ReadonlyMap<string, number>;
  /** Of the last reading that was believed. */
  readonly asOf: Instant | null;
  /** Likewise; null = its source has none. */
  readonly edition: string | null;
}

export interface BelievedPrice {
  readonly id: Id;
  readonly key: OfferingKey;
  readonly amount: PicoUsdPerHour;
  readonly effectiveFrom: Instant | null;
  readonly said: string;
  /** From when on the book must say something else, the earliest first; empty = it says that already. */
  readonly moves: readonly ForetoldPrice[];
}

export interface DoubtedPrice extends Doubt {
  /** Null: nobody knows what it is. */
  readonly id: Id | null;
  readonly row: ObservedPrice;
  readonly amount: PicoUsdPerHour | null;
  readonly said: string;
}

export interface GateAnswer {
  /** Null, or why nothing of the reading is believed; then all lists but `doubted` are empty. */
  readonly refusal: Refusal | null;
  readonly believed: readonly BelievedPrice[];
  readonly doubted: readonly DoubtedPrice[];
  /** Rows that said what they said before. */
  readonly unchanged: number;
  /** Offerings that the feed named before and passes over now. */
  readonly missing: readonly Id[];
  readonly rowsByRegion: ReadonlyMap<string, number>;
}

/**
 * Judges a reading: every row is believed, doubted with one reason, or unchanged; and whether the reading as a whole may be believed
 * at all. A feed is heard when what it says changes: a row that was settled and says the same again is not judged again.
 */
export function gatePrices(reading: PriceReading, known: KnownPrices, now: Instant): GateAnswer {
  const rowsByRegion = countByRegion(reading.prices);
  const early = refuseTime(reading, known, now) ?? refuseTorn(reading, rowsByRegion, known);
  if (early) return refused(early, [], rowsByRegion);
  const answer = judgeAll(reading, known, now);
  const damage = refuseDamaged(answer.doubted, reading);
  return damage ? refused(damage, answer.doubted, rowsByRegion) : { refusal: null, ...answer, rowsByRegion };
}

const refused = (refusal: Refusal, doubted: readonly DoubtedPrice[], rowsByRegion: ReadonlyMap<string, number>): GateAnswer => ({
  refusal,
  believed: [],
  doubted,
  unchanged: 0,
  missing: [],
  rowsByRegion,
});

function refuseTime({ asOf }: PriceReading, known: KnownPrices, now: Instant): Refusal | null {
  if (asOf === null) return null;
  if (asOf > now + MAX_AHEAD_MS) return { code: 'CLOCK_AHEAD', message: `The source says that it is ${iso(asOf)}.` };
  if (known.asOf !== null && asOf < known.asOf)
    return { code: 'CLOCK_WENT_BACK', message: `The source is of ${iso(asOf)}; it was of ${iso(known.asOf)} before.` };
  return null;
}

function refuseTorn({ prices }: PriceReading, rows: ReadonlyMap<string, number>, known: KnownPrices): Refusal | null {
  if (prices.length === 0) return { code: 'EMPTY', message: 'The source names no price at all.' };
  for (const [region, before] of known.rowsByRegion) {
    const found = rows.get(region) ?? 0;
    if (before >= MIN_ROWS_TO_COMPARE && found < before * MIN_SHARE)
      return { code: 'INCOMPLETE', message: `The source names ${found} prices of ${region}; it named ${before} before.` };
  }
  return null;
}

/** Broken in themselves, as opposed to new, contradicted or far: those come in crowds when a market moves. */
const DAMAGE: ReadonlySet<DoubtCode> = new Set<DoubtCode>([
  'AMOUNT_UNREADABLE',
  'AMOUNT_NOT_POSITIVE',
  'WRONG_UNIT',
  'WRONG_CURRENCY',
  'NOT_NEWER',
  'IMPLAUSIBLE',
  'FAR_FROM_LAST',
  'FAR_FROM_LIST',
]);

function refuseDamaged(doubted: readonly DoubtedPrice[], { prices, unreadable }: PriceReading): Refusal | null {
  const rows = prices.length + unreadable.length;
  const damaged = doubted.filter(({ code }) => DAMAGE.has(code)).length + unreadable.length;
  if (rows < MIN_ROWS_TO_COMPARE || damaged <= rows * MAX_DAMAGED_SHARE) return null;
  return { code: 'MOSTLY_DAMAGED', message: `${damaged} of ${rows} rows cannot be believed, so none of them is.` };
}

function judgeAll(reading: PriceReading, known: KnownPrices, now: Instant): Omit<GateAnswer, 'refusal' | 'rowsByRegion'> {
  const isNewer = reading.asOf === null || known.asOf === null || reading.asOf > known.asOf;
  const edition = editionOf(reading, known);
  const { rows, twice } = rowsById(reading.prices);
  const believed: BelievedPrice[] = [];
  const doubted: DoubtedPrice[] = [];
  for (const [id, row] of rows) {
    const judged = judgeRow(id, row, { known: known.offerings.get(id) ?? null, isNewer, edition, now, isTwice: twice.has(id) });
    if (judged && 'code' in judged) doubted.push(judged);
    else if (judged) believed.push(judged);
  }
  const unchanged = rows.size - believed.length - doubted.length;
  return { believed, doubted, unchanged, missing: missingFrom(rows, known) };
}

const missingFrom = (rows: ReadonlyMap<Id, ObservedPrice>, { offerings }: KnownPrices): Id[] =>
  [...offerings.values()].filter(({ id, own }) => own && !rows.has(id)).map(({ id }) => id);

function editionOf({ edition }: PriceReading, known: KnownPrices): Question['edition'] {
  if (edition === undefined) return 'asked';
  return edition === known.edition ? 'same' : 'another';
}

interface RowQuestion extends Omit<Question, 'row' | 'known'> {
  readonly known: KnownOffering | null;
  readonly isTwice: boolean;
}

/** Null = it was settled, and says the same again. */
function judgeRow(id: Id, row: ObservedPrice, { known, isTwice, ...rest }: RowQuestion): BelievedPrice | DoubtedPrice | null {
  const said = saidOf(row);
  const doubted = { row, said, amount: null };
  if (!known)
    return { ...doubted, id: null, code: 'UNKNOWN_OFFERING', message: `Nobody knows what ${offeringKeyText(row.key)} is.` };
  if (isTwice)
    return { ...doubted, id, code: 'SAYS_TWICE', message: 'The source names it more than once, with different prices.' };
  if (isSettled(row, known.own, rest.now)) return null;
  const judged = judgePrice({ row, known, ...rest });
  if (judged.doubt) return { ...judged.doubt, id, row, said, amount: judged.amount };
  const { amount } = judged;
  const { effectiveFrom } = row;
  // Who speaks for the first time and says what is in force has not said that it will not change.
  const isFirstWord = known.own === null && amount === known.lastGood;
  const moves = isFirstWord ? [] : movesOf({ amount, effectiveFrom }, known, rest.now);
  return { id, key: row.key, amount, effectiveFrom, said, moves };
}

/** One row per offering, the earliest of those that say the same; `twice` are those that the reading contradicts itself on. */
function rowsById(prices: readonly ObservedPrice[]): { readonly rows: Map<Id, ObservedPrice>; readonly twice: ReadonlySet<Id> } {
  const rows = new Map<Id, ObservedPrice>();
  const twice = new Set<Id>();
  for (const row of prices) {
    const id = offeringIdOf(row.key);
    const first = rows.get(id);
    if (!first || isEarlier(row, first)) rows.set(id, row);
    if (first && saidOf(first) !== saidOf(row)) twice.add(id);
  }
  return { rows, twice };
}

/** One without a date is in force. */
const isEarlier = (row: ObservedPrice, than: ObservedPrice): boolean => (row.effectiveFrom ?? 0) < (than.effectiveFrom ?? 0);

function countByRegion(prices: readonly ObservedPrice[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key } of prices) counts.set(regionOf(key), (counts.get(regionOf(key)) ?? 0) + 1);
  return counts;
}

const iso = (at: Instant): string => new Date(at).toISOString();
