import type { ObservedPrice } from '../clouds/price-feed.port.ts';
import type { Id } from '../kernel/id.ts';
import { DAY_MS, type Instant } from '../kernel/instant.ts';
import { formatUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import { MAX_PRICE } from './price-book.ts';
import { readAmount } from './read-amount.ts';

/** A price so many times above or below what it is compared with needs a person. Higher lets a slipped decimal in, lower asks too often. */
const MAX_FACTOR = 5n;
/** A change by more than half is a jump. Higher believes more at the first read, lower delays honest changes by one read. */
const JUMP = { numerator: 3n, denominator: 2n };
/** Two sources agree within one part in so many. Higher calls rounding a contradiction, lower hides one. */
const AGREEMENT = 100n;
/** What a machine costs at least, in pico-USD per thousandth of a CPU and hour: 0.0002 USD per CPU. The cheapest on any market cost thrice that. */
const FLOOR_PER_CPU_MILLI = 200_000n;
/** The same per thousandth of an accelerator: 0.005 USD for a whole one. The cheapest on any market cost some times that. */
const FLOOR_PER_ACCELERATOR_MILLI = 5_000_000n;
/** A price may be announced so long ahead. Higher takes a clock gone wild for an announcement, lower refuses honest ones. */
const MAX_ANNOUNCED_MS = 62 * DAY_MS;

/** Why a price is not believed, in the order in which they are looked for. */
export const DOUBT_CODES = [
  'UNKNOWN_OFFERING',
  'SAYS_TWICE',
  'AMOUNT_UNREADABLE',
  'AMOUNT_NOT_POSITIVE',
  'WRONG_UNIT',
  'WRONG_CURRENCY',
  'NOT_NEWER',
  'IMPLAUSIBLE',
  'FAR_FROM_LAST',
  'FAR_FROM_LIST',
  'FEEDS_DISAGREE',
  'UNCONFIRMED_JUMP',
  'FIRST_SEEN',
] as const;

export type DoubtCode = (typeof DOUBT_CODES)[number];

/** Doubts that speak of others, not of the price itself: what such a row says still counts when feeds are compared. */
const CREDIBLE: ReadonlySet<DoubtCode> = new Set<DoubtCode>(['FEEDS_DISAGREE', 'UNCONFIRMED_JUMP', 'FIRST_SEEN']);

export const isCredible = (code: DoubtCode | null): boolean => code === null || CREDIBLE.has(code);

/** What a feed said of an offering when it was last read. */
export interface FeedClaim {
  /** As written, with currency and unit; `saidOf` makes it. */
  readonly said: string;
  /** Null where it has no say: it could not be read, or is damaged. */
  readonly amount: PicoUsdPerHour | null;
  /** Of the last thing that it said and that was not damaged. */
  readonly effectiveFrom: Instant | null;
  /** Null = settled: believed, or decided by a person. */
  readonly code: DoubtCode | null;
}

/** What will be in force from an instant on. */
export interface ForetoldPrice {
  readonly at: Instant;
  readonly amount: PicoUsdPerHour;
}

/** What is known of an offering before a feed speaks of it. */
export interface KnownOffering {
  readonly id: Id;
  readonly cpuMilli: number;
  /** 0 = it has none. */
  readonly acceleratorMilli: number;
  /** The believed one among the observed prices, and since when it is in force. */
  readonly lastGood: PicoUsdPerHour | null;
  readonly lastGoodFrom: Instant | null;
  /** What the book says of later, the earliest first. */
  readonly announced: readonly ForetoldPrice[];
  /** Of the bundled book, or of the same type in other regions. */
  readonly list: PicoUsdPerHour | null;
  readonly own: FeedClaim | null;
  /** What other feeds that are not silent say, where it is credible. */
  readonly others: readonly PicoUsdPerHour[];
}

/** Why a price is not believed, with the numbers that decided in one sentence. */
export interface Doubt {
  readonly code: DoubtCode;
  readonly message: string;
}

export type Judged =
  | { readonly amount: PicoUsdPerHour; readonly doubt: null }
  /** The amount is null where it could not be read. */
  | { readonly amount: PicoUsdPerHour | null; readonly doubt: Doubt };

export interface Question {
  readonly row: ObservedPrice;
  readonly known: KnownOffering;
  /** False: the source's clock stands where it stood at the last reading. */
  readonly isNewer: boolean;
  /** Whether the source was asked anew, or an edition of it was fetched: the very one of the last reading, or another. */
  readonly edition: 'asked' | 'same' | 'another';
  readonly now: Instant;
}

/** One line that is equal if and only if the source wrote the same. */
export const saidOf = ({ amount, currency, unit }: ObservedPrice): string => `${amount} ${currency}/${unit}`;

/** Believes a price, or says the first reason why not. */
export function judgePrice(question: Question): Judged {
  const { row } = question;
  const amount = readAmount(row.amount);
  if (amount === null) return doubted(null, 'AMOUNT_UNREADABLE', `"${row.amount.slice(0, 40)}" is not an amount.`);
  if (amount <= 0n)
    return doubted(amount, 'AMOUNT_NOT_POSITIVE', `It would cost ${row.amount.slice(0, 40)}; nothing is rented for that.`);
  if (row.unit !== 'hour') return doubted(amount, 'WRONG_UNIT', `The amount is per ${row.unit.slice(0, 40)}, not per hour.`);
  if (row.currency !== 'USD')
    return doubted(amount, 'WRONG_CURRENCY', `The amount is in ${row.currency.slice(0, 10)}, not in USD.`);
  // What is believed already moves nothing, whoever says it and since when, but for what was announced.
  if (amount === question.known.lastGood) return { amount, doubt: doubtTakingBack(amount, question) };
  return { amount, doubt: doubtOrder(amount, question) ?? doubtSize(amount, question) ?? doubtChange(amount, question) };
}

const doubted = (amount: PicoUsdPerHour | null, code: DoubtCode, message: string): Judged => ({
  amount,
  doubt: { code, message },
});

/** True while what the feed said last is not yet in force: until then it may think better of it. */
const isAhead = (own: FeedClaim | null, now: Instant): own is FeedClaim & { readonly effectiveFrom: Instant } =>
  own !== null && own.effectiveFrom !== null && own.effectiveFrom > now;

/** What was announced is brought forward, or put off. */
const isAnotherDate = (row: ObservedPrice, own: FeedClaim, now: Instant): boolean =>
  isAhead(own, now) && own.effectiveFrom !== row.effectiveFrom;

/** What the feed said is settled, and it says the same again. */
export const isSettled = (row: ObservedPrice, own: FeedClaim | null, now: Instant): boolean =>
  own?.code === null && own.said === saidOf(row) && !isAnotherDate(row, own, now);

/** A price that stays as it is undoes what was announced: not by a clock that stands still, and not against others. */
function doubtTakingBack(amount: PicoUsdPerHour, { known, isNewer }: Question): Doubt | null {
  if (known.own === null || known.announced.every((step) => step.amount === amount)) return null;
  return isNewer ? doubtAlone(amount, known) : STANDS_STILL;
}

const STANDS_STILL: Doubt = {
  code: 'NOT_NEWER',
  message: 'The source changed the price, but its clock stands where it stood.',
};

/** A source that changes its mind must say so with a later date than that of the price in force. */
function doubtOrder(amount: PicoUsdPerHour, question: Question): Doubt | null {
  const { row, known, isNewer, now } = question;
  const { own } = known;
  if (row.effectiveFrom !== null && row.effectiveFrom > now + MAX_ANNOUNCED_MS)
    return {
      code: 'NOT_NEWER',
      message: `It would count from ${dateOf(row.effectiveFrom)}, which is too far ahead to be an announcement.`,
    };
  if (own === null || (own.amount === amount && !isAnotherDate(row, own, now))) return null;
  return isNewer ? doubtDate(row.effectiveFrom, isAhead(own, now) ? known.lastGoodFrom : own.effectiveFrom) : STANDS_STILL;
}

function doubtDate(effectiveFrom: Instant | null, before: Instant | null): Doubt | null {
  if (effectiveFrom === null || before === null || effectiveFrom > before) return null;
  const dates = `${dateOf(effectiveFrom)}; what it said before counts from ${dateOf(before)}`;
  return { code: 'NOT_NEWER', message: `The source changed the price, but dates it ${dates}.` };
}

function doubtSize(amount: PicoUsdPerHour, { known }: Question): Doubt | null {
  const { lastGood, list } = known;
  if (amount > MAX_PRICE) return { code: 'IMPLAUSIBLE', message: `No machine costs ${usd(amount)}.` };
  if (lastGood !== null && isFar(amount, lastGood))
    return {
      code: 'FAR_FROM_LAST',
      message: `${usd(amount)} is not within 0.2 to 5 times the last good price, ${usd(lastGood)}.`,
    };
  if (list !== null && isFar(amount, list))
    return { code: 'FAR_FROM_LIST', message: `${usd(amount)} is not within 0.2 to 5 times the list price, ${usd(list)}.` };
  return amount < floorOf(known) ? { code: 'IMPLAUSIBLE', message: `${usd(amount)} is less than any such machine costs.` } : null;
}

function floorOf({ cpuMilli, acceleratorMilli }: KnownOffering): PicoUsdPerHour {
  const [cpu, accelerator] = [FLOOR_PER_CPU_MILLI * BigInt(cpuMilli), FLOOR_PER_ACCELERATOR_MILLI * BigInt(acceleratorMilli)];
  return cpu > accelerator ? cpu : accelerator;
}

/** What would move the price must not be contradicted, and if it moves it far, be said twice. */
function doubtChange(amount: PicoUsdPerHour, question: Question): Doubt | null {
  const { lastGood, others } = question.known;
  const alone = doubtAlone(amount, question.known);
  if (alone || others.length > 0) return alone;
  const isSaidAgain = isSaidTwice(amount, question);
  if (lastGood === null)
    return isSaidAgain
      ? null
      : { code: 'FIRST_SEEN', message: `${usd(amount)} is the first price of it; a second read must agree.` };
  if (!isJump(amount, lastGood) || (isSaidAgain && question.edition !== 'same')) return null;
  const whoElse = question.edition === 'asked' ? 'a second read' : 'a later edition of the source';
  return { code: 'UNCONFIRMED_JUMP', message: `From ${usd(lastGood)} to ${usd(amount)} is a jump; ${whoElse} must agree.` };
}

function doubtAlone(amount: PicoUsdPerHour, { others }: KnownOffering): Doubt | null {
  const contrary = others.find((other) => !agree(other, amount));
  if (contrary === undefined) return null;
  return { code: 'FEEDS_DISAGREE', message: `This feed says ${usd(amount)}, another one ${usd(contrary)}.` };
}

/** The same source, read again with its clock moved on, still says so. */
const isSaidTwice = (amount: PicoUsdPerHour, { known: { own }, isNewer }: Question): boolean =>
  isNewer && own?.amount != null && own.code !== null && isCredible(own.code) && agree(own.amount, amount);

const isFar = (amount: bigint, from: bigint): boolean => amount * MAX_FACTOR < from || amount > from * MAX_FACTOR;

const isJump = (amount: bigint, from: bigint): boolean =>
  amount * JUMP.denominator > from * JUMP.numerator || amount * JUMP.numerator < from * JUMP.denominator;

export const agree = (a: bigint, b: bigint): boolean => (a > b ? a - b : b - a) * AGREEMENT <= (a > b ? b : a);

const usd = (amount: PicoUsdPerHour): string => `${formatUsd(amount)} USD per hour`;

const dateOf = (at: Instant): string => new Date(at).toISOString().slice(0, 10);
