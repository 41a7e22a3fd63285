import { ArgsType, Field, InputType, Int } from 'type-graphql';
import { CapacityTypeName } from '../clouds/offering.type.ts';
import type { CapacityType } from '../clouds/offering.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import { DateTime, Decimal } from '../graphql/scalars.ts';
import type { Failure } from '../kernel/failure.ts';
import type { Instant } from '../kernel/instant.ts';
import { parseUsd } from '../kernel/money.ts';
import { AcceleratorInput, toResources } from '../registry/resources.type.ts';
import type { AgreementInput } from './agreements.service.ts';
import { countOfPlan } from './check-agreement.ts';
import { OfferingKeyInput, toOfferingKey } from './offering.input.ts';

@InputType()
abstract class TermsInput {
  @Field(() => String, { description: 'Its name; an agreement of this name and kind is replaced.' })
  name!: string;

  @Field(() => DateTime, { nullable: true, description: 'In force from then on; left out = from now on. Never in the past.' })
  from?: Instant | null;

  @Field(() => DateTime, { nullable: true, description: 'And until then; left out = until it is removed.' })
  until?: Instant | null;
}

@InputType('SetDiscountInput', {
  description: 'So many per cent off the list price of whatever fits. Of several the largest counts.',
})
export class SetDiscountInput extends TermsInput {
  @Field(() => Decimal, { description: 'Per cent off the list price, at most three decimals.' })
  percent!: string;

  @Field(() => String, { nullable: true, description: 'Only of this provider.' })
  provider?: string | null;

  @Field(() => String, { nullable: true, description: "Only in this region, by the provider's name." })
  region?: string | null;

  @Field(() => String, { nullable: true, description: 'Only of these instance types; `*` stands for anything: `m5.*`.' })
  instanceTypes?: string | null;

  @Field(() => [CapacityTypeName], { nullable: true, description: 'Only of what is rented in one of these ways.' })
  capacityTypes?: CapacityType[] | null;
}

@InputType('SetCommitmentInput', {
  description:
    'Machines that are paid for whether they run or not: by their count (a reservation), or by an amount per hour (a savings plan). They become an offering of capacity type RESERVED.',
})
export class SetCommitmentInput extends TermsInput {
  @Field(() => OfferingKeyInput, { description: 'What they would be on demand.' })
  covers!: OfferingKeyInput;

  @Field(() => Decimal, {
    description: 'USD per hour of one machine under the commitment; what was paid in advance spread over its hours.',
  })
  ratePerHour!: string;

  @Field(() => Int, { nullable: true, description: 'How many machines are reserved; or `committedPerHour`.' })
  count?: number | null;

  @Field(() => Decimal, {
    nullable: true,
    description: 'USD per hour that are committed; it covers as many machines as it pays for whole.',
  })
  committedPerHour?: string | null;
}

@InputType('SetOwnHardwareInput', {
  description: 'A machine of your own: it costs what it loses in value, its power and its place.',
})
export class SetOwnHardwareInput extends TermsInput {
  @Field(() => String, { description: 'Whose it is: a name of your own, not that of a cloud.' })
  provider!: string;

  @Field(() => String, { description: 'Where it stands.' })
  region!: string;

  @Field(() => String, { description: 'What kind of machine it is.' })
  instanceType!: string;

  @Field(() => String, { defaultValue: 'amd64', description: 'amd64 or arm64.' })
  architecture!: string;

  @Field(() => Int, { description: 'Thousandths of a CPU.' })
  cpuMilli!: number;

  @Field(() => Int, { description: 'Memory in MiB.' })
  memoryMib!: number;

  @Field(() => AcceleratorInput, { nullable: true, description: 'Accelerators, if it has any.' })
  accelerator?: AcceleratorInput | null;

  @Field(() => Int, { defaultValue: 1, description: 'How many of them there are.' })
  count!: number;

  @Field(() => Decimal, { description: 'USD that one cost.' })
  purchase!: string;

  @Field(() => Decimal, { defaultValue: '0', description: 'USD that it will still be worth in the end.' })
  residual!: string;

  @Field(() => Int, { description: 'Months that it is used for.' })
  months!: number;

  @Field(() => Int, { defaultValue: 0, description: 'Power that it draws, cooling included, in watts.' })
  watts!: number;

  @Field(() => Decimal, { defaultValue: '0', description: 'USD per kilowatt-hour.' })
  perKilowattHour!: string;

  @Field(() => Decimal, { defaultValue: '0', description: 'USD per month for its place, its network and who looks after it.' })
  hostingPerMonth!: string;
}

@InputType('RemovePriceAgreementInput', { description: 'Ends an agreement now.' })
export class RemovePriceAgreementInput {
  @Field(() => String, { description: 'Its name.' })
  name!: string;
}

/** What every change of an agreement takes. */
@ArgsType()
class AgreementArgs {
  @Field(() => String, IDEMPOTENCY_KEY)
  idempotencyKey?: string | null;

  @Field(() => Int, { nullable: true, description: 'Refuses with CONFLICT unless the one of this name has this version.' })
  expectedVersion?: number | null;
}

@ArgsType()
export class SetDiscountArgs extends AgreementArgs {
  @Field(() => SetDiscountInput, { description: 'What.' })
  input!: SetDiscountInput;
}

@ArgsType()
export class SetCommitmentArgs extends AgreementArgs {
  @Field(() => SetCommitmentInput, { description: 'What.' })
  input!: SetCommitmentInput;
}

@ArgsType()
export class SetOwnHardwareArgs extends AgreementArgs {
  @Field(() => SetOwnHardwareInput, { description: 'What.' })
  input!: SetOwnHardwareInput;
}

@ArgsType()
export class RemovePriceAgreementArgs extends AgreementArgs {
  @Field(() => RemovePriceAgreementInput, { description: 'Which.' })
  input!: RemovePriceAgreementInput;
}

const termsOf = ({ name, from, until }: TermsInput) => ({ name, validFrom: from ?? null, validUntil: until ?? null });

const usd = (text: string): bigint => parseUsd(text) ?? -1n;

/** Thousandths; what has more decimals is no number of them. */
const milliOf = (text: string): number => (/^\d{1,3}(?:\.\d{1,3}0*)?$/.test(text) ? Math.round(Number(text) * 1000) : Number.NaN);

export const toDiscount = (input: SetDiscountInput): AgreementInput => ({
  ...termsOf(input),
  spec: {
    kind: 'discount',
    percentMilli: milliOf(input.percent),
    provider: input.provider ?? null,
    region: input.region ?? null,
    instanceTypes: input.instanceTypes ?? null,
    capacityTypes: input.capacityTypes ?? null,
  },
});

export function toCommitment(input: SetCommitmentInput): AgreementInput | Failure {
  const covers = toOfferingKey(input.covers);
  const ratePerHour = usd(input.ratePerHour);
  if (!input.committedPerHour)
    return { ...termsOf(input), spec: { kind: 'reservation', covers, ratePerHour, count: input.count ?? 0 } };
  const count = countOfPlan(usd(input.committedPerHour), ratePerHour);
  return typeof count === 'number' ? { ...termsOf(input), spec: { kind: 'savings_plan', covers, ratePerHour, count } } : count;
}

export function toOwnHardware(input: SetOwnHardwareInput): AgreementInput {
  const { provider, region, instanceType, architecture, cpuMilli, memoryMib, accelerator, count, months, watts } = input;
  const has = toResources({ cpuMilli, memoryMib, accelerator: accelerator ?? null });
  const shape = { provider, region, zone: '', instanceType, architecture, ...has };
  const amounts = { purchase: usd(input.purchase), residual: usd(input.residual), perKilowattHour: usd(input.perKilowattHour) };
  return {
    ...termsOf(input),
    spec: {
      kind: 'own_hardware',
      shape,
      ...amounts,
      ...{ count, months, watts, hostingPerMonth: usd(input.hostingPerMonth) },
    },
  };
}
