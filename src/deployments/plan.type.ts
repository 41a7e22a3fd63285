import { Field, Int, ObjectType } from 'type-graphql';
import { OfferingType, toOfferingType } from '../clouds/offering.type.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Instant } from '../kernel/instant.ts';
import { HOURS_PER_MONTH, type Plan } from './plan.ts';

@ObjectType('Rejection', { description: 'Why an offering was not chosen.' })
export class RejectionType {
  @Field(() => String, { description: 'Machine-readable reason; DEARER for those that fit.' })
  code!: string;

  @Field(() => String, { description: 'With the numbers that decided.' })
  message!: string;
}

@ObjectType('PlanCandidate', { description: 'An offering that was looked at.' })
export class PlanCandidateType {
  @Field(() => OfferingType, { description: 'The offering.' })
  offering!: OfferingType;

  @Field(() => MoneyType, { nullable: true, description: 'Per replica and hour; null where nobody knows a price.' })
  hourly!: MoneyType | null;

  @Field(() => MoneyType, { nullable: true, description: 'Per replica and month of 730 hours.' })
  monthly!: MoneyType | null;

  @Field(() => MoneyType, {
    nullable: true,
    description: 'What candidates are compared by, lower is better; null for the rejected.',
  })
  score!: MoneyType | null;

  @Field(() => Boolean, { description: 'True for the one that is taken.' })
  chosen!: boolean;

  @Field(() => RejectionType, { nullable: true, description: 'Why not; null for the chosen one.' })
  rejectedBecause!: RejectionType | null;
}

@ObjectType('PlanAction', { description: 'One thing that will be done.' })
export class PlanActionType {
  @Field(() => String, {
    description:
      'CREATE_DEPLOYMENT, UPDATE_DEPLOYMENT, PLACE, CREATE_REVISION, START_ROLLOUT, SCALE, SET_TRAFFIC, DELETE_DEPLOYMENT or NOTHING.',
  })
  kind!: string;

  @Field(() => String, { description: 'For people.' })
  message!: string;
}

@ObjectType('Plan', { description: 'What a wish leads to and what it costs, before anything is done.' })
export class PlanType {
  @Field(() => String, { description: 'Pass it back as `planHash` to run exactly this.' })
  hash!: string;

  @Field(() => [PlanActionType], { description: 'What will be done, in order.' })
  actions!: readonly PlanActionType[];

  @Field(() => [PlanCandidateType], {
    description: 'The best 20 offerings, then those that came closest; a change that keeps its offering has that one.',
  })
  candidates!: readonly PlanCandidateType[];

  @Field(() => MoneyType, { description: 'How much dearer per hour it will be; negative = cheaper.' })
  costDelta!: MoneyType;

  @Field(() => MoneyType, { description: 'Per month of 730 hours, afterwards.' })
  monthlyEstimate!: MoneyType;

  @Field(() => Int, { description: 'Most replicas at a time on the way.' })
  peakReplicas!: number;

  @Field(() => [String], { description: 'What can go wrong.' })
  risks!: readonly string[];

  @Field(() => DateTime, { nullable: true, description: 'Until when it can be run by its hash; null when it was run.' })
  expiresAt!: Instant | null;
}

const moneyOrNull = (amount: bigint | null): MoneyType | null => (amount === null ? null : toMoney(amount));

export const toPlanType = (plan: Plan, expiresAt: Instant | null): PlanType => ({
  hash: plan.hash,
  actions: plan.actions,
  candidates: plan.candidates.map(({ offering, hourly, score, chosen, rejectedBecause }) => ({
    offering: toOfferingType(offering),
    hourly: moneyOrNull(hourly),
    monthly: moneyOrNull(hourly && hourly * HOURS_PER_MONTH),
    score: moneyOrNull(score),
    chosen,
    rejectedBecause,
  })),
  costDelta: toMoney(plan.costDelta),
  monthlyEstimate: toMoney(plan.monthlyAfter),
  peakReplicas: plan.peakReplicas,
  risks: plan.risks,
  expiresAt,
});
