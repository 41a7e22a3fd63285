import { ArgsType, Field, InputType, Int, registerEnumType } from 'type-graphql';
import { CapacityTypeName } from '../clouds/offering.type.ts';
import type { CapacityType } from '../clouds/offering.ts';
import type { OfferingKey } from '../clouds/offering-key.ts';
import { DEFAULT_PAGE } from '../graphql/connection.type.ts';
import { Decimal } from '../graphql/scalars.ts';
import type { OfferingOrder } from './price-store.port.ts';

export const OfferingOrderName: Record<string, OfferingOrder> = { KEY: 'key', PRICE: 'price' };
registerEnumType(OfferingOrderName, {
  name: 'OfferingOrder',
  description: 'Order of offerings.',
  valuesConfig: {
    KEY: { description: 'By provider, region, zone, instance type and capacity type.' },
    PRICE: { description: 'Cheapest first, those without a price last.' },
  },
});

@InputType('OfferingKey', { description: 'Names one offering.' })
export class OfferingKeyInput {
  @Field(() => String, { description: 'aws, azure, gcp or your own.' })
  provider!: string;

  @Field(() => String, { description: "The provider's name of the region." })
  region!: string;

  @Field(() => String, { nullable: true, description: 'Left out where the price is the same in every zone.' })
  zone?: string | null;

  @Field(() => String, { description: "The provider's name of the instance type." })
  instanceType!: string;

  @Field(() => CapacityTypeName, { defaultValue: 'on_demand', description: 'How it is rented.' })
  capacityType!: CapacityType;
}

@InputType('OfferingFilter', { description: 'Which offerings; all that are given must hold.' })
export class OfferingFilterInput {
  @Field(() => [String], { nullable: true, description: 'Of one of these providers.' })
  providers?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'In one of these regions, `provider/region`.' })
  regions?: string[] | null;

  @Field(() => [CapacityTypeName], { nullable: true, description: 'Rented in one of these ways.' })
  capacityTypes?: CapacityType[] | null;

  @Field(() => [String], { nullable: true, description: 'Of one of these architectures.' })
  architectures?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Of one of these instance types.' })
  instanceTypes?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'With one of these accelerators.' })
  acceleratorModels?: string[] | null;

  @Field(() => Int, { nullable: true, description: 'With at least so many thousandths of a CPU.' })
  minCpuMilli?: number | null;

  @Field(() => Int, { nullable: true, description: 'With at least so much memory, in MiB.' })
  minMemoryMib?: number | null;

  @Field(() => Decimal, { nullable: true, description: 'At most so many USD per hour.' })
  maxPricePerHour?: string | null;
}

@ArgsType()
export class OfferingsArgs {
  @Field(() => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' })
  first!: number;

  @Field(() => String, { nullable: true, description: 'Cursor to go on behind.' })
  after?: string | null;

  @Field(() => OfferingOrderName, { defaultValue: 'key', description: 'Order; a cursor belongs to one order.' })
  orderBy!: OfferingOrder;

  @Field(() => OfferingFilterInput, { nullable: true, description: 'Which; all when left out.' })
  filter?: OfferingFilterInput | null;
}

@InputType('SetPriceOverrideInput', { description: 'A price that counts instead of the observed one, from now on.' })
export class SetPriceOverrideInput {
  @Field(() => OfferingKeyInput, { description: 'The offering.' })
  offering!: OfferingKeyInput;

  @Field(() => Decimal, {
    nullable: true,
    description: 'USD per hour of the whole instance; null lets the observed price count again.',
  })
  pricePerHour?: string | null;
}

export const toOfferingKey = ({ provider, region, zone, instanceType, capacityType }: OfferingKeyInput): OfferingKey => ({
  provider,
  region,
  zone: zone ?? '',
  instanceType,
  capacityType,
});
