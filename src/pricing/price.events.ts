import type { Offering } from '../clouds/offering.ts';
import { offeringKeyText } from '../clouds/offering-key.ts';
import type { EventDraft, Json } from '../kernel/event.ts';
import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import { formatUsd } from '../kernel/money.ts';
import type { Id } from '../kernel/id.ts';
import { writeSpec } from './agreement-json.ts';
import type { Agreement } from './agreements.ts';
import type { PriceRow } from './price-book.ts';
import type { FeedState, QuarantinedPrice } from './price-feed-store.port.ts';

export interface PriceChange {
  readonly offering: Offering;
  readonly before: PriceRow | null;
  readonly after: PriceRow | null;
  /** Price rows of the offering after the change: its version. */
  readonly version: number;
  readonly at: Instant;
  readonly principal: string;
}

/** The price that is believed of an offering has changed; platform-wide. */
export const priceChanged = (change: PriceChange): EventDraft => ({
  type: 'price.changed',
  subjectKind: 'Offering',
  subjectId: change.offering.id,
  subjectVersion: change.version,
  teamId: null,
  projectId: null,
  deploymentId: null,
  severity: 'info',
  at: change.at,
  principal: change.principal,
  message: `${offeringKeyText(change.offering)} ${movement(change)}.`,
  before: snapshot(change.before),
  after: snapshot(change.after),
});

const movement = ({ before, after, at }: PriceChange): string =>
  after && after.effectiveFrom > at
    ? `will cost ${told(after)} from ${new Date(after.effectiveFrom).toISOString()} on; it is ${told(before)}`
    : `now costs ${told(after)}; it was ${told(before)}`;

const told = (price: PriceRow | null): string => (price ? `${formatUsd(price.effective)} USD per hour` : 'unpriced');

const snapshot = (price: PriceRow | null): Json =>
  price && {
    priceId: price.id,
    pricePerHour: formatUsd(price.effective),
    source: price.source,
    effectiveFrom: price.effectiveFrom,
  };

/** Where a fact of a price stands in its subject's story. */
export interface PriceCause {
  readonly version: number;
  readonly at: Instant;
  readonly principal: string;
}

type Waiting = Pick<QuarantinedPrice, 'id' | 'feed' | 'offeringKey' | 'row' | 'code' | 'message'> & { readonly offeringId: Id };

/** A feed says a price that is not believed. */
export const priceQuarantined = (price: Waiting, cause: PriceCause): EventDraft => ({
  ...factOf(price, cause),
  type: 'price.quarantined',
  severity: 'warning',
  message: `${price.feed} says ${said(price)} of ${price.offeringKey}, which is not believed: ${price.message}`,
  before: { waiting: null },
  after: { waiting: waiting(price) },
});

/** Somebody believed it all the same. */
export const priceAccepted = (price: Waiting, cause: PriceCause): EventDraft => ({
  ...factOf(price, cause),
  type: 'price.accepted',
  severity: 'warning',
  message: `Somebody accepted what ${price.feed} says of ${price.offeringKey}: ${said(price)}.`,
  before: { waiting: waiting(price) },
  after: { waiting: null },
});

/** Somebody said that the last good price stands. */
export const priceDismissed = (price: Waiting, cause: PriceCause): EventDraft => ({
  ...factOf(price, cause),
  type: 'price.dismissed',
  severity: 'info',
  message: `Somebody dismissed what ${price.feed} says of ${price.offeringKey}: ${said(price)}.`,
  before: { waiting: waiting(price) },
  after: { waiting: null },
});

const factOf = ({ offeringId }: Waiting, { version, at, principal }: PriceCause) =>
  ({
    subjectKind: 'Offering',
    subjectId: offeringId,
    subjectVersion: version,
    teamId: null,
    projectId: null,
    deploymentId: null,
    at,
    principal,
  }) as const;

const said = ({ row }: Waiting): string =>
  `"${row.amount.slice(0, 40)}" ${row.currency.slice(0, 10)} per ${row.unit.slice(0, 40)}`;

const waiting = ({ id, feed, row, code }: Waiting): Json => ({
  quarantinedPriceId: id,
  feed,
  amount: row.amount.slice(0, 100),
  currency: row.currency.slice(0, 100),
  unit: row.unit.slice(0, 100),
  code,
});

/** A feed became silent, or is heard again. */
export const priceFeedSilence = (feed: FeedState, since: Instant | null, at: Instant): EventDraft => {
  const type = since === null ? 'price_feed.heard' : 'price_feed.stale';
  return {
    type,
    subjectKind: 'PriceFeed',
    subjectId: feed.id,
    subjectVersion: feed.version + 1,
    teamId: null,
    projectId: null,
    deploymentId: null,
    severity: since === null ? 'info' : 'error',
    at,
    principal: 'reconciler:price-feeds',
    message:
      since === null
        ? `The price feed ${feed.name} is heard again.`
        : `Nothing believable came from the price feed ${feed.name} for too long: its prices decide nothing any more.`,
    before: { staleSince: feed.staleSince },
    after: { staleSince: since },
  };
};

/** Something was agreed, changed or ended (`after` null). */
export const priceAgreementChanged = (
  before: Agreement | null,
  after: Agreement | null,
  { at, principal }: Pick<PriceCause, 'at' | 'principal'>,
): EventDraft => {
  const agreement = after ?? before;
  invariant(agreement !== null, 'an agreement of nothing');
  return {
    type: after ? 'price_agreement.set' : 'price_agreement.removed',
    subjectKind: 'PriceAgreement',
    subjectId: agreement.id,
    subjectVersion: after?.version ?? agreement.version + 1,
    teamId: null,
    projectId: null,
    deploymentId: null,
    severity: 'info',
    at,
    principal,
    message: after ? `The price agreement ${agreement.name} was set.` : `The price agreement ${agreement.name} was ended.`,
    before: before && agreementOf(before),
    after: after && agreementOf(after),
  };
};

const agreementOf = ({ name, spec, validFrom, validUntil, version }: Agreement): Json => ({
  name,
  ...writeSpec(spec),
  validFrom,
  validUntil,
  version,
});
