import { Field, Int, ObjectType, registerEnumType } from 'type-graphql';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Instant } from '../kernel/instant.ts';
import type { CheckAspect, CheckFinding, CheckStatus } from './cloud-check.port.ts';
import type { BillAnswer } from './clouds.service.ts';
import type { ConfiguredCloud } from './configured-cloud.ts';
import type { FeedAge } from './feed-ages.port.ts';
import { sharesOf, type BillShare } from './sum-bill.ts';

/** Of what could not be read, the first are shown. Higher: long answers; lower: a pattern in them is not seen. */
const MAX_UNREADABLE = 20;

const CheckAspectName: Record<string, CheckAspect> = {
  ...{ CREDENTIALS: 'credentials', PERMISSIONS: 'permissions', QUOTA: 'quota' },
  ...{ NOTICES: 'notices', PRICES: 'prices', BILL: 'bill' },
};
registerEnumType(CheckAspectName, {
  name: 'CloudAspect',
  description: 'What of a cloud is looked at.',
  valuesConfig: {
    CREDENTIALS: { description: 'Whether it knows who asks.' },
    PERMISSIONS: { description: 'Whether it lets them do what is needed.' },
    QUOTA: { description: 'Whether more machines may be rented.' },
    NOTICES: { description: 'Whether its notices of interruptions arrive.' },
    PRICES: { description: 'Whether its prices are read.' },
    BILL: { description: 'Whether its bills can be read.' },
  },
});

const CheckStatusName: Record<string, CheckStatus> = { OK: 'ok', FAILED: 'failed', UNKNOWN: 'unknown' };
registerEnumType(CheckStatusName, {
  name: 'CloudFindingStatus',
  description: 'How it stands with it.',
  valuesConfig: {
    OK: { description: 'Nothing is to be done.' },
    FAILED: { description: 'The message says what is to be done.' },
    UNKNOWN: { description: 'It could not be asked, or does not say.' },
  },
});

@ObjectType('CloudFinding', { description: 'What was found of a cloud.' })
export class CloudFindingType implements CheckFinding {
  @Field(() => CheckAspectName, { description: 'What was looked at.' })
  aspect!: CheckAspect;

  @Field(() => CheckStatusName, { description: 'How it stands with it.' })
  status!: CheckStatus;

  @Field(() => String, { description: 'What was found, and what to do about it.' })
  message!: string;
}

@ObjectType('CloudFeed', { description: 'How the prices of a cloud are read.' })
export class CloudFeedType {
  @Field(() => [String], { description: 'Regions that are asked for, as `provider/region`.' })
  regions!: readonly string[];

  @Field(() => Int, { description: 'It is read so often, in seconds.' })
  everySeconds!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was last read and believed as a whole; null = never.' })
  readAt!: Instant | null;

  @Field(() => DateTime, { nullable: true, description: 'Since when it is silent, and decides nothing; null = it is heard.' })
  staleSince!: Instant | null;

  @Field(() => String, { nullable: true, description: 'Why the last attempt failed; null = it did not.' })
  error!: string | null;
}

@ObjectType('Cloud', { description: 'Somebody who rents machines or says prices, as configured.' })
export class CloudType {
  readonly row!: ConfiguredCloud;

  @Field(() => String, { description: 'What pools call it.' })
  name!: string;

  @Field(() => String, { description: 'aws, azure, gcp, machines, command, simulated, or a kind of feed.' })
  kind!: string;

  @Field(() => Boolean, { description: 'Whether it rents machines.' })
  rentsMachines!: boolean;

  @Field(() => Boolean, { description: 'Whether it has bills.' })
  hasBills!: boolean;
}

export const toCloudType = (row: ConfiguredCloud): CloudType => ({
  ...{ row, name: row.name, kind: row.kind },
  ...{ rentsMachines: row.machines !== null, hasBills: row.bill !== null },
});

export const toCloudFeedType = ({ prices }: ConfiguredCloud, age: FeedAge | undefined): CloudFeedType | null =>
  prices && {
    ...{ regions: prices.regions, everySeconds: Math.round(prices.intervalMs / 1_000) },
    ...{ readAt: age?.readAt ?? null, staleSince: age?.staleSince ?? null, error: age?.errorMessage ?? null },
  };

@ObjectType('CloudBillShare', { description: 'What one service in one region was charged.' })
export class CloudBillShareType {
  @Field(() => String, { description: "The provider's name of the service." })
  service!: string;

  @Field(() => String, { nullable: true, description: "The provider's name of the region; null where the charge has none." })
  region!: string | null;

  @Field(() => MoneyType, { description: 'What is to be paid.' })
  billedCost!: MoneyType;

  @Field(() => MoneyType, { description: 'With what was paid in advance spread over its use.' })
  effectiveCost!: MoneyType;

  @Field(() => Int, { description: 'Charges in it.' })
  lines!: number;
}

@ObjectType('CloudBillUnreadable', { description: 'A charge that could not be read and is not counted.' })
export class CloudBillUnreadableType {
  @Field(() => String, { description: 'What it is about, as far as one can tell.' })
  ref!: string;

  @Field(() => String, { description: 'Why it could not be read.' })
  reason!: string;
}

@ObjectType('CloudBill', { description: 'What a cloud charged.' })
export class CloudBillType {
  @Field(() => String, { nullable: true, description: 'Why it is not known; null = it is.' })
  problem!: string | null;

  @Field(() => MoneyType, { nullable: true, description: 'Sum of what is to be paid; null = not known.' })
  billedCost!: MoneyType | null;

  @Field(() => MoneyType, { nullable: true, description: 'With what was paid in advance spread over its use; null = not known.' })
  effectiveCost!: MoneyType | null;

  @Field(() => Boolean, { description: 'False while the provider may still change it.' })
  isFinal!: boolean;

  @Field(() => [CloudBillShareType], { description: 'By service and region, the largest first; they sum to the whole.' })
  shares!: CloudBillShareType[];

  @Field(() => Int, { description: 'Charges that could not be read and are not counted.' })
  unreadableCount!: number;

  @Field(() => [CloudBillUnreadableType], { description: 'The first of them.' })
  unreadable!: readonly CloudBillUnreadableType[];
}

const UNKNOWN_BILL = { billedCost: null, effectiveCost: null, isFinal: false, shares: [], unreadableCount: 0, unreadable: [] };

export function toCloudBillType(answer: BillAnswer): CloudBillType {
  if ('problem' in answer) return { ...UNKNOWN_BILL, problem: answer.problem };
  const { bill } = answer;
  const shares = sharesOf(bill);
  const sum = (of: (share: BillShare) => bigint) => toMoney(shares.reduce((total, share) => total + of(share), 0n));
  return {
    ...{ problem: null, isFinal: bill.isFinal, shares: shares.map(toShareType) },
    ...{ billedCost: sum(({ billed }) => billed), effectiveCost: sum(({ effective }) => effective) },
    ...{ unreadableCount: bill.unreadable.length, unreadable: bill.unreadable.slice(0, MAX_UNREADABLE) },
  };
}

const toShareType = ({ serviceName, regionId, billed, effective, lines }: BillShare): CloudBillShareType => ({
  ...{ service: serviceName, region: regionId, lines },
  ...{ billedCost: toMoney(billed), effectiveCost: toMoney(effective) },
});
