import { Extensions, Field, Int, ObjectType, registerEnumType } from 'type-graphql';
import { connectionOf } from '../graphql/connection.type.ts';
import { priced } from '../graphql/cost.ts';
import { upperCaseNames } from '../graphql/enum-names.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { NodeType } from '../graphql/node.type.ts';
import { PayloadType } from '../graphql/payload.type.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { DOUBT_CODES, type DoubtCode } from './judge-price.ts';
import type { FeedState, QuarantinedPrice, QuarantineState } from './price-feed-store.port.ts';
import { isAcceptable } from './price-feeds.service.ts';
import type { RegionFacts } from './prices.service.ts';

const DOUBTS: Readonly<Record<DoubtCode, string>> = {
  UNKNOWN_OFFERING: 'Nobody knows what it is.',
  SAYS_TWICE: 'The source names it more than once, with different prices.',
  AMOUNT_UNREADABLE: 'What stands there is no amount.',
  AMOUNT_NOT_POSITIVE: 'Nothing is rented for nothing.',
  WRONG_UNIT: 'It is not per hour.',
  WRONG_CURRENCY: 'It is not in USD.',
  NOT_NEWER: 'It changed, and is not newer than what was said before.',
  IMPLAUSIBLE: 'No machine costs so little, or so much.',
  FAR_FROM_LAST: 'It is not within 0.2 to 5 times the last good price.',
  FAR_FROM_LIST: 'It is not within 0.2 to 5 times the list price.',
  FEEDS_DISAGREE: 'Another feed says something else.',
  UNCONFIRMED_JUMP: 'It is a jump that no second read has confirmed yet.',
  FIRST_SEEN: 'It is the first price of this offering, and no second read has confirmed it yet.',
};
const DoubtName = upperCaseNames(DOUBT_CODES);
registerEnumType(DoubtName, {
  name: 'PriceDoubt',
  description: 'Why a price is not believed.',
  valuesConfig: Object.fromEntries(Object.entries(DOUBTS).map(([code, description]) => [code, { description }])),
});

export const QuarantineStateName = upperCaseNames(['open', 'accepted', 'dismissed', 'withdrawn'] satisfies QuarantineState[]);
registerEnumType(QuarantineStateName, {
  name: 'QuarantineState',
  description: 'What became of a price that was not believed.',
  valuesConfig: {
    OPEN: { description: 'It waits for a person, or for the feed to think better of it.' },
    ACCEPTED: { description: 'Somebody believed it all the same.' },
    DISMISSED: { description: 'Somebody said that the last good price stands.' },
    WITHDRAWN: { description: 'The feed says something else now.' },
  },
});

@ObjectType('UnreadablePrice', { description: 'Part of what a source said that could not be read.' })
export class UnreadablePriceType {
  @Field(() => String, { description: 'Where it stands: a line, a SKU.' })
  ref!: string;

  @Field(() => String, { description: 'What is wrong with it.' })
  reason!: string;
}

@ObjectType('PriceFeed', { implements: NodeType, description: 'A source of prices that is read now and then.' })
export class PriceFeedType extends NodeType {
  @Field(() => String, { description: 'As the configuration calls it; prices of it have the source `<name>@<date>`.' })
  name!: string;

  @Field(() => Boolean, { description: 'False: it is not in the configuration any more, and falls silent.' })
  isConfigured!: boolean;

  @Field(() => Int, { description: 'How often it is read, in seconds.' })
  intervalSeconds!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was last asked.' })
  attemptedAt!: Instant | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was last read and believed as a whole.' })
  readAt!: Instant | null;

  @Field(() => DateTime, { nullable: true, description: 'When the source says that it was made; null = it does not say.' })
  asOf!: Instant | null;

  @Field(() => Int, { description: 'Prices in that reading.' })
  rows!: number;

  @Field(() => Int, { description: 'Prices that are not believed and wait.' })
  quarantined!: number;

  @Field(() => [UnreadablePriceType], { description: 'What could not be read of the last answer; the first twenty.' })
  unreadable!: readonly UnreadablePriceType[];

  @Field(() => String, {
    nullable: true,
    description: 'Why nothing of the last answer was believed, or why there was none; null = all is well.',
  })
  error!: string | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'Silent for so long that nothing is decided by its prices any more, since then; null = it is heard.',
  })
  staleSince!: Instant | null;
}

@ObjectType('QuarantinedPrice', { implements: NodeType, description: 'A price that a feed says and that is not believed.' })
export class QuarantinedPriceType extends NodeType {
  readonly offeringId!: Id | null;

  @Field(() => String, { description: 'Who says it.' })
  feed!: string;

  @Field(() => String, { description: 'Of what: `provider/region/zone/instance type/capacity type`, `-` for no zone.' })
  offeringKey!: string;

  @Field(() => String, { description: 'The amount as the source wrote it.' })
  said!: string;

  @Field(() => String, { description: 'Its unit as the source wrote it.' })
  unit!: string;

  @Field(() => String, { description: 'Its currency as the source wrote it.' })
  currency!: string;

  @Field(() => MoneyType, { nullable: true, description: 'Per hour, where it can be read.' })
  perHour!: MoneyType | null;

  @Field(() => DoubtName, { description: 'Why it is not believed.' })
  code!: DoubtCode;

  @Field(() => String, { description: 'The reason in a sentence, with the numbers that decided.' })
  message!: string;

  @Field(() => DateTime, { description: 'When it was first said.' })
  observedAt!: Instant;

  @Field(() => QuarantineStateName, { description: 'What became of it.' })
  state!: QuarantineState;

  @Field(() => DateTime, { nullable: true, description: 'When that was decided.' })
  decidedAt!: Instant | null;

  @Field(() => Boolean, {
    description: 'True: a person may believe it. What is no amount in USD per hour can only be dismissed.',
  })
  isAcceptable!: boolean;
}

export const QuarantinedPriceConnection = connectionOf('QuarantinedPrice', () => QuarantinedPriceType);

@ObjectType('DecideQuarantinedPricePayload', { description: 'The price that was decided about, unless refused.' })
export class DecideQuarantinedPricePayload extends PayloadType {
  @Field(() => QuarantinedPriceType, { nullable: true, description: 'As it stands now.' })
  price!: QuarantinedPriceType | null;
}

@ObjectType('RegionZone', { description: 'A zone of a region.' })
export class RegionZoneType {
  @Field(() => String, { description: "The provider's name." })
  name!: string;

  @Field(() => [String], { description: 'Instance types that need a zone of their own; empty = none is known to.' })
  instanceTypes!: string[];

  @Field(() => [String], { description: 'Accelerators that can be attached there; empty = none is known.' })
  accelerators!: string[];
}

@ObjectType('RoundTrip', { description: 'A measured round trip to another region.' })
export class RoundTripType {
  @Field(() => String, { description: 'To where, `provider/region`.' })
  to!: string;

  @Field(() => Int, { description: 'In microseconds.' })
  microseconds!: number;
}

@ObjectType('CloudRegion', { description: 'A region of a provider.' })
export class RegionType {
  @Field(() => String, { description: '`provider/region`, as configuration and filters name it.' })
  path!: string;

  @Field(() => String, { description: 'aws, azure, gcp or your own.' })
  provider!: string;

  @Field(() => String, { description: "The provider's name of the region." })
  region!: string;

  @Field(() => String, { description: 'Where it is.' })
  location!: string;

  @Field(() => [RegionZoneType], { description: 'Its zones; empty where the provider names none.' })
  @Extensions(priced({ list: 10 }))
  zones!: RegionZoneType[];

  @Field(() => [RoundTripType], {
    description: 'How far it is to other regions, and within itself; those that nobody measured are left out.',
  })
  @Extensions(priced({ list: 50 }))
  roundTrips!: RoundTripType[];
}

export const toFeedType = (feed: FeedState): PriceFeedType => ({
  ...feed,
  id: toGlobalId('PriceFeed', feed.id),
  intervalSeconds: Math.round(feed.intervalMs / 1000),
  error: feed.errorMessage,
});

export const toQuarantinedType = (price: QuarantinedPrice): QuarantinedPriceType => ({
  ...price,
  id: toGlobalId('QuarantinedPrice', price.id),
  said: price.row.amount,
  unit: price.row.unit,
  currency: price.row.currency,
  perHour: price.amount === null ? null : toMoney(price.amount),
  isAcceptable: isAcceptable(price),
});

export const toRegionType = ({ zones, roundTrips, ...region }: RegionFacts): RegionType => ({
  ...region,
  path: `${region.provider}/${region.region}`,
  zones: zones.map(({ name, items }) => ({
    name,
    instanceTypes: items.filter(({ kind }) => kind === 'machine_type').map((item) => item.name),
    accelerators: items.filter(({ kind }) => kind === 'accelerator').map((item) => item.name),
  })),
  roundTrips: roundTrips.map(({ to, rttUs }) => ({ to, microseconds: rttUs })),
});
