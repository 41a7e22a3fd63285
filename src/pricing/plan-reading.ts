import { offeringKeyText } from '../clouds/offering-key.ts';
import type { Offering } from '../clouds/offering.ts';
import type { PriceReading } from '../clouds/price-feed.port.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { agreedPrices, type AgreedPrice, type Agreement } from './agreements.ts';
import { gatePrices, type BelievedPrice, type DoubtedPrice, type GateAnswer } from './gate-prices.ts';
import { isCredible, type ForetoldPrice, type KnownOffering } from './judge-price.ts';
import type { ClaimDraft, FeedState, KnownRow, PriceDraft, QuarantineDraft, ReadingChange } from './price-feed-store.port.ts';

/** Rows of one reading that are kept for people to look at. Higher: a broken source fills the table; lower: people see less of it. */
export const MAX_QUARANTINED = 1_000;

export interface ReadingInput {
  readonly feed: FeedState;
  /** Those that it is asked about: of others it need not speak any more. */
  readonly regions: readonly string[];
  readonly reading: PriceReading;
  readonly known: readonly KnownRow[];
  readonly open: ReadonlyMap<string, { readonly code: string; readonly said: string }>;
  readonly agreements: readonly Agreement[];
  readonly newId: () => Id;
}

export interface ReadingPlan {
  readonly answer: GateAnswer;
  readonly change: ReadingChange;
}

/** Sends a reading through the gate and says what it changes in the database: only what differs from what is there. */
export function planReading(input: ReadingInput, now: Instant): ReadingPlan {
  const { feed, regions, reading, known } = input;
  const rowsByRegion = new Map(Object.entries(feed.rowsByRegion).filter(([region]) => regions.includes(region)));
  const before = { offerings: knownOfferings(known), rowsByRegion, asOf: feed.asOf, edition: feed.edition };
  const answer = gatePrices(reading, before, now);
  const byId = new Map(known.map((row) => [row.offering.id, row]));
  const claims = answer.refusal ? [] : claimsOf(answer, byId);
  const change: ReadingChange = {
    feed: feed.name,
    at: now,
    claims,
    unconfirmed: answer.missing.filter((id) => byId.get(id)?.claim?.unconfirmedSince === null),
    confirmed: answer.refusal ? [] : confirmedAgain(answer, byId, claims),
    prices: answer.believed.flatMap((price) => priceDrafts(price, byId.get(price.id), input, now)),
    ...quarantineOf(answer, input),
  };
  return { answer, change };
}

/** What is not in the bundled book is compared with the same type elsewhere, or else with what it cost first: it may not drift away. */
function knownOfferings(rows: readonly KnownRow[]): Map<Id, KnownOffering> {
  const elsewhere = listsByKind(rows);
  return new Map(
    rows.map(({ offering, lastGood, announced, list, first, claim, others }) => [
      offering.id,
      {
        id: offering.id,
        cpuMilli: offering.cpuMilli,
        acceleratorMilli: offering.accelerator?.countMilli ?? 0,
        lastGood: lastGood?.list ?? null,
        lastGoodFrom: lastGood?.effectiveFrom ?? null,
        announced,
        list: list ?? elsewhere.get(kindOf(offering)) ?? first,
        own: claim,
        others,
      },
    ]),
  );
}

/** The median of each type's regions. */
function listsByKind(rows: readonly KnownRow[]): Map<string, PicoUsdPerHour> {
  const lists = new Map<string, PicoUsdPerHour[]>();
  for (const { offering, list } of rows) {
    if (list === null) continue;
    const kind = kindOf(offering);
    const others = lists.get(kind);
    if (others) others.push(list);
    else lists.set(kind, [list]);
  }
  return new Map(
    [...lists].flatMap(([kind, all]) =>
      all
        .sort(byAmount)
        .slice(all.length >> 1, (all.length >> 1) + 1)
        .map((list) => [kind, list]),
    ),
  );
}

const byAmount = (a: PicoUsdPerHour, b: PicoUsdPerHour): number => (a < b ? -1 : Number(a > b));

const kindOf = ({ provider, instanceType, capacityType }: KnownRow['offering']): string =>
  `${provider}/${instanceType}/${capacityType}`;

function claimsOf({ believed, doubted }: GateAnswer, known: ReadonlyMap<Id, KnownRow>): ClaimDraft[] {
  const said = believed.map(({ id, said, amount, effectiveFrom }) => ({
    offeringId: id,
    said,
    amount,
    effectiveFrom,
    code: null,
  }));
  const doubts = doubted.flatMap(({ id, said, amount, row, code }) => {
    if (id === null) return [];
    const heard = isCredible(code)
      ? { amount, effectiveFrom: row.effectiveFrom }
      : { amount: null, effectiveFrom: known.get(id)?.claim?.effectiveFrom ?? null };
    return [{ offeringId: id, said, ...heard, code }];
  });
  return [...said, ...doubts].filter(({ offeringId, said, effectiveFrom, code }) => {
    const before = known.get(offeringId)?.claim;
    return before?.said !== said || before.code !== code || (code === null && before.effectiveFrom !== effectiveFrom);
  });
}

/** It was missing, and says now what it said before. */
function confirmedAgain({ missing }: GateAnswer, known: ReadonlyMap<Id, KnownRow>, claims: readonly ClaimDraft[]): Id[] {
  const others = new Set([...missing, ...claims.map(({ offeringId }) => offeringId)]);
  const waiting = [...known.values()].filter(({ claim }) => claim?.code === null && claim.unconfirmedSince !== null);
  return waiting.map(({ offering }) => offering.id).filter((id) => !others.has(id));
}

function priceDrafts(price: BelievedPrice, known: KnownRow | undefined, input: ReadingInput, now: Instant): PriceDraft[] {
  if (!known) return [];
  const source = sourceOf(input.feed.name, input.reading.asOf ?? now);
  const prices = agreedMoves(known.offering, price.moves, input.agreements);
  return prices.map((agreed) => ({ ...agreed, id: input.newId(), offeringId: price.id, source }));
}

/** Moves of the list price with what was agreed on top, at each instant at which either changes. */
export function agreedMoves(
  offering: Offering,
  moves: readonly ForetoldPrice[],
  agreements: readonly Agreement[],
): AgreedPrice[] {
  const [first] = moves;
  if (!first) return [];
  const listAt = (at: Instant) => moves.findLast((move) => move.at <= at)?.amount ?? first.amount;
  return agreedPrices(offering, listAt, agreements, { from: first.at, alsoAt: moves.map(({ at }) => at) });
}

export const sourceOf = (feed: string, at: Instant): string => `${feed}@${new Date(at).toISOString().slice(0, 10)}`;

/** Rows that were there with the same words and reason stay; what a feed does not say any more goes. */
function quarantineOf(
  { doubted }: GateAnswer,
  { open, newId }: ReadingInput,
): { readonly quarantined: QuarantineDraft[]; readonly withdrawn: string[] } {
  const kept = doubted.slice(0, MAX_QUARANTINED);
  const same = new Set(kept.filter((row) => isOpen(row, open)).map(({ row }) => offeringKeyText(row.key)));
  return {
    quarantined: kept.flatMap(({ id, row, amount, code, message }) => {
      const offeringKey = offeringKeyText(row.key);
      return same.has(offeringKey) ? [] : [{ id: newId(), offeringId: id, offeringKey, row, amount, code, message }];
    }),
    withdrawn: [...open.keys()].filter((key) => !same.has(key)),
  };
}

const isOpen = ({ row, said, code }: DoubtedPrice, open: ReadingInput['open']): boolean => {
  const before = open.get(offeringKeyText(row.key));
  return before?.said === said && before.code === code;
};
