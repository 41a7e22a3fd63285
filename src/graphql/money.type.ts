import { Field, ObjectType, registerEnumType } from 'type-graphql';
import { formatUsd, type PicoUsd } from '../kernel/money.ts';
import { Decimal } from './scalars.ts';

const Currency = { USD: 'USD' } as const;
registerEnumType(Currency, {
  name: 'Currency',
  description: 'Currency of the ledger (ISO 4217).',
  valuesConfig: { USD: { description: 'United States dollar.' } },
});

@ObjectType('Money', { description: 'An exact amount of money.' })
export class MoneyType {
  @Field(() => Decimal, { description: 'Exact amount, at most 12 decimals.' })
  amount!: string;

  @Field(() => Currency, { description: 'Currency of the amount.' })
  currency!: 'USD';
}

export const toMoney = (amount: PicoUsd): MoneyType => ({ amount: formatUsd(amount), currency: 'USD' });
