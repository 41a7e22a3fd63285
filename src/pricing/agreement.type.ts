import { Field, Int, ObjectType, registerEnumType } from 'type-graphql';
import { offeringKeyText } from '../clouds/offering-key.ts';
import { upperCaseNames } from '../graphql/enum-names.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { NodeType } from '../graphql/node.type.ts';
import { PayloadType } from '../graphql/payload.type.ts';
import { DateTime, Decimal } from '../graphql/scalars.ts';
import type { Instant } from '../kernel/instant.ts';
import { hourlyCostOf, paidKeyOf, type Agreement, type AgreementSpec } from './agreements.ts';

export const AgreementKindName = upperCaseNames([
  'discount',
  'reservation',
  'savings_plan',
  'own_hardware',
] satisfies AgreementSpec['kind'][]);
registerEnumType(AgreementKindName, {
  name: 'PriceAgreementKind',
  description: 'What a price agreement is.',
  valuesConfig: {
    DISCOUNT: { description: 'So many per cent off the list price.' },
    RESERVATION: { description: 'Machines that are paid for whether they run or not.' },
    SAVINGS_PLAN: { description: 'An amount per hour that is paid whether it is used or not.' },
    OWN_HARDWARE: { description: 'Machines of your own: what an hour of one costs.' },
  },
});

@ObjectType('PriceAgreement', {
  implements: NodeType,
  description: 'What was agreed with a provider, or what a machine of your own costs: a price beside the list price.',
})
export class PriceAgreementType extends NodeType {
  @Field(() => String, { description: 'Its name, unique.' })
  name!: string;

  @Field(() => AgreementKindName, { description: 'What it is.' })
  kind!: AgreementSpec['kind'];

  @Field(() => String, { description: 'What it is about: an offering, or what a discount is given on (`*` = anything).' })
  covers!: string;

  @Field(() => Decimal, { nullable: true, description: 'Per cent off the list price, of a discount.' })
  percent!: string | null;

  @Field(() => Int, { nullable: true, description: 'Machines that it covers; null of a discount.' })
  count!: number | null;

  @Field(() => MoneyType, { nullable: true, description: 'What each of them costs per hour; null of a discount.' })
  perHour!: MoneyType | null;

  @Field(() => DateTime, { description: 'In force from then on.' })
  from!: Instant;

  @Field(() => DateTime, { nullable: true, description: 'And until then; null = until it is removed.' })
  until!: Instant | null;

  @Field(() => Int, { description: 'Rises with each change.' })
  version!: number;
}

@ObjectType('PriceAgreementPayload', { description: 'The agreement, unless refused.' })
export class PriceAgreementPayload extends PayloadType {
  @Field(() => PriceAgreementType, { nullable: true, description: 'As it was set, or as it was when it ended.' })
  agreement!: PriceAgreementType | null;
}

export const toAgreementType = ({ id, name, spec, validFrom, validUntil, version }: Agreement): PriceAgreementType => ({
  id: toGlobalId('PriceAgreement', id),
  name,
  kind: spec.kind,
  ...termsOf(spec),
  from: validFrom,
  until: validUntil,
  version,
});

function termsOf(spec: AgreementSpec): Pick<PriceAgreementType, 'covers' | 'percent' | 'count' | 'perHour'> {
  if (spec.kind === 'discount') {
    const { provider, region, instanceTypes, capacityTypes, percentMilli } = spec;
    const covers = [provider ?? '*', region ?? '*', '*', instanceTypes ?? '*', capacityTypes?.join('|') ?? '*'].join('/');
    return { covers, percent: String(percentMilli / 1000), count: null, perHour: null };
  }
  const rate = spec.kind === 'own_hardware' ? hourlyCostOf(spec) : spec.ratePerHour;
  return { covers: offeringKeyText(paidKeyOf(spec)), percent: null, count: spec.count, perHour: toMoney(rate) };
}
