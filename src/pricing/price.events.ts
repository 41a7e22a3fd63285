import type { Offering } from '../clouds/offering.ts';
import { offeringKeyText } from '../clouds/offering-key.ts';
import type { EventDraft, Json } from '../kernel/event.ts';
import type { Instant } from '../kernel/instant.ts';
import { formatUsd } from '../kernel/money.ts';
import type { PriceRow } from './price-book.ts';

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
  message: `${offeringKeyText(change.offering)} now costs ${told(change.after)}; it was ${told(change.before)}.`,
  before: snapshot(change.before),
  after: snapshot(change.after),
});

const told = (price: PriceRow | null): string => (price ? `${formatUsd(price.effective)} USD per hour` : 'unpriced');

const snapshot = (price: PriceRow | null): Json =>
  price && {
    priceId: price.id,
    pricePerHour: formatUsd(price.effective),
    source: price.source,
    effectiveFrom: price.effectiveFrom,
  };
