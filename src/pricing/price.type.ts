import { Field, ObjectType } from 'type-graphql';
import { OfferingType } from '../clouds/offering.type.ts';
import { connectionOf } from '../graphql/connection.type.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { PayloadType } from '../graphql/payload.type.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PriceRow } from './price-book.ts';
import type { PricePoint } from './prices.service.ts';

@ObjectType('Price', { description: 'What an offering costs, and who says so.' })
export class PriceType {
  @Field(() => MoneyType, { description: 'Per hour of the whole instance, as it is charged.' })
  perHour!: MoneyType;

  @Field(() => MoneyType, { description: 'Per hour of the whole instance, as published.' })
  listPerHour!: MoneyType;

  @Field(() => MoneyType, { description: 'Per hour of the whole instance, as agreed with the provider.' })
  contractedPerHour!: MoneyType;

  @Field(() => DateTime, { description: 'In force since.' })
  effectiveFrom!: Instant;

  @Field(() => DateTime, { description: 'Known since.' })
  observedAt!: Instant;

  @Field(() => String, { description: 'Source and its date, `karpenter-aws@2026-07-20`; `override` when it was set by hand.' })
  source!: string;

  @Field(() => Boolean, { description: 'True: nobody has confirmed it for too long, and nothing is decided by it.' })
  isStale!: boolean;
}

@ObjectType('PricePoint', { description: 'A stretch of time under one price, `[from, to)`.' })
export class PricePointType {
  @Field(() => DateTime, { description: 'First instant.' })
  from!: Instant;

  @Field(() => DateTime, { description: 'First instant after.' })
  to!: Instant;

  @Field(() => PriceType, { description: 'The price that is believed.' })
  price!: PriceType;
}

export const OfferingConnection = connectionOf('Offering', () => OfferingType);

@ObjectType('SetPriceOverridePayload', { description: 'The offering, unless refused.' })
export class SetPriceOverridePayload extends PayloadType {
  @Field(() => OfferingType, { nullable: true, description: 'The offering with its price.' })
  offering!: OfferingType | null;
}

export const toPriceType = (row: PriceRow): PriceType => ({
  perHour: toMoney(row.effective),
  listPerHour: toMoney(row.list),
  contractedPerHour: toMoney(row.contracted),
  effectiveFrom: row.effectiveFrom,
  observedAt: row.observedAt,
  source: row.source,
  isStale: row.stale ?? false,
});

export const toPricePointType = ({ from, to, price }: PricePoint): PricePointType => ({ from, to, price: toPriceType(price) });
