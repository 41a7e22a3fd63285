import { offeringKeyText } from '../clouds/offering-key.ts';
import type { PriceReading } from '../clouds/price-feed.port.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { agreedPrices, type Agreement } from './agreements.ts';
import { gatePrices, type BelievedPrice, type DoubtedPrice, type GateAnswer } from './gate-prices.ts';
import { isCredible, type KnownOffering } from './judge-price.ts';
import type { ClaimDraft, FeedState, KnownRow, PriceDraft, QuarantineDraft, ReadingChange } from './price-feed-store.port.ts';

/** Rows of one reading that are kept for people to look at. Higher: a broken source fills the table; lower: people see less of it. */
export const MAX_QUARANTINED = 1_000;

export interface ReadingInput {
  readonly feed: FeedState;
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
  const { feed, reading, known } = input;
  const rowsByRegion = new Map(Object.entries(feed.rowsByRegion));
  const answer = gatePrices(reading, { offerings: knownOfferings(known), rowsByRegion, asOf: feed.asOf }, now);
  const byId = new Map(known.map((row) => [row.offering.id, row]));
  const claims = answer.refusal ? [] : claimsOf(answer, byId);
  const change: ReadingChange = {
    feed: feed.name,
    at: now,
    claims,
    unconfirmed: answer.missing.filter((id) => byId.get(id)?.claim?.unconfirmedSince === null),
    confirmed: answer.refusal ? [] : confirmedAgain(answer, byId, claims),
    prices: answer.believed.filter(({ moves }) => moves).flatMap((price) => priceDrafts(price, byId.get(price.id), input, now)),
    ...quarantineOf(answer, input),
  };
  return { answer, change };
}

/** What is not in the bundled book is compared with the same type elsewhere. */
function knownOfferings(rows: readonly KnownRow[]): Map<Id, KnownOffering> {
  const elsewhere = new Map<string, PicoUsdPerHour>();
  for (const { offering, list } of rows) if (list !== null) elsewhere.set(kindOf(offering), list);
  return new Map(
    rows.map(({ offering, lastGood, list, claim, others }) => [
      offering.id,
      {
        id: offering.id,
        cpuMilli: offering.cpuMilli,
        lastGood: lastGood?.list ?? null,
        list: list ?? elsewhere.get(kindOf(offering)) ?? null,
        own: claim,
        others,
      },
    ]),
  );
}

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
  return [...said, ...doubts].filter(({ offeringId, said, code }) => {
    const before = known.get(offeringId)?.claim;
    return before?.said !== said || before.code !== code;
  });
}

/** It was missing, and says now what it said before. */
function confirmedAgain({ missing }: GateAnswer, known: ReadonlyMap<Id, KnownRow>, claims: readonly ClaimDraft[]): Id[] {
  const others = new Set([...missing, ...claims.map(({ offeringId }) => offeringId)]);
  const waiting = [...known.values()].filter(({ claim }) => claim?.code === null && claim.unconfirmedSince !== null);
  return waiting.map(({ offering }) => offering.id).filter((id) => !others.has(id));
}

/** The first price of an offering counts since when the source says, a later one never for the past. */
function priceDrafts(price: BelievedPrice, known: KnownRow | undefined, input: ReadingInput, now: Instant): PriceDraft[] {
  if (!known) return [];
  const from = price.effectiveFrom ?? now;
  const effectiveFrom = known.lastGood === null ? Math.min(from, now) : Math.max(from, now);
  const source = sourceOf(input.feed.name, input.reading.asOf ?? now);
  const when = { from: effectiveFrom, alsoAt: price.cancels === null ? [] : [price.cancels] };
  const prices = agreedPrices(known.offering, () => price.amount, input.agreements, when);
  return prices.map((agreed) => ({ ...agreed, id: input.newId(), offeringId: price.id, source }));
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
