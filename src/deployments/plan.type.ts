import { Field, Int, ObjectType } from 'type-graphql';
import { OfferingType, toOfferingType } from '../clouds/offering.type.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Instant } from '../kernel/instant.ts';
import type { CostParts } from '../scheduler/cost-model.ts';
import { HOURS_PER_MONTH, type Plan } from './plan.ts';

@ObjectType('Rejection', { description: 'Why an offering was not chosen.' })
export class RejectionType {
  @Field(() => String, { description: 'Machine-readable reason; DEARER for those that fit.' })
  code!: string;

  @Field(() => String, { description: 'With the numbers that decided.' })
  message!: string;
}

@ObjectType('CostParts', { description: 'What something costs per hour, part by part.' })
export class CostPartsType {
  @Field(() => MoneyType, { description: 'The machines.' })
  price!: MoneyType;

  @Field(() => MoneyType, {
    description: 'Answers to callers elsewhere, and the artifact that each machine fetches, spread over a month.',
  })
  egress!: MoneyType;

  @Field(() => MoneyType, { description: 'Interruptions to be expected, until a replica serves again.' })
  interruptions!: MoneyType;

  @Field(() => MoneyType, { description: 'Moving there from where it is, spread over a day.' })
  move!: MoneyType;
}

@ObjectType('PlanPlace', { description: 'A pool that replicas go to.' })
export class PlanPlaceType {
  @Field(() => String, { description: 'Name of the cluster.' })
  cluster!: string;

  @Field(() => String, { description: 'Name of the pool there.' })
  pool!: string;

  @Field(() => String, { description: 'The offering that it is priced by, as one line.' })
  offering!: string;

  @Field(() => String, { nullable: true, description: 'Null = any of the region.' })
  zone!: string | null;

  @Field(() => Int, { description: 'Replicas.' })
  replicas!: number;

  @Field(() => Int, { nullable: true, description: 'Machines that are rented for them; null = none is.' })
  machines!: number | null;

  @Field(() => MoneyType, { description: 'All replicas there, per hour.' })
  hourly!: MoneyType;
}

@ObjectType('PlanCandidate', { description: 'An offering that was looked at.' })
export class PlanCandidateType {
  @Field(() => OfferingType, { description: 'The offering.' })
  offering!: OfferingType;

  @Field(() => MoneyType, { nullable: true, description: 'Per replica and hour; null where nobody knows a price.' })
  hourly!: MoneyType | null;

  @Field(() => String, {
    nullable: true,
    description: 'Where its price comes from, with the date of that source: `karpenter-aws@2026-07-20`; null for the rejected.',
  })
  priceSource!: string | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Replicas that carry the throughput there; null where replicas were asked for, and for the rejected.',
  })
  replicas!: number | null;

  @Field(() => MoneyType, { nullable: true, description: 'Per replica and month of 730 hours.' })
  monthly!: MoneyType | null;

  @Field(() => MoneyType, {
    nullable: true,
    description: 'What candidates are compared by, all parts for all replicas together, lower is better; null for the rejected.',
  })
  score!: MoneyType | null;

  @Field(() => CostPartsType, { nullable: true, description: 'What the score is made of; null for the rejected.' })
  cost!: CostPartsType | null;

  @Field(() => Boolean, { description: 'True for the one that is taken.' })
  chosen!: boolean;

  @Field(() => RejectionType, { nullable: true, description: 'Why not; null for the chosen one.' })
  rejectedBecause!: RejectionType | null;
}

@ObjectType('PlanAction', { description: 'One thing that will be done.' })
export class PlanActionType {
  @Field(() => String, {
    description:
      'CREATE_DEPLOYMENT, UPDATE_DEPLOYMENT, MAKE_POOL, PLACE, CREATE_REVISION, START_ROLLOUT, SCALE, SET_TRAFFIC, DELETE_DEPLOYMENT or NOTHING.',
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
    description:
      'The best 20 offerings (for a throughput also the best three on each other accelerator), then those that came closest; a change that keeps its offering has that one.',
  })
  candidates!: readonly PlanCandidateType[];

  @Field(() => MoneyType, { description: 'How much dearer per hour it will be; negative = cheaper.' })
  costDelta!: MoneyType;

  @Field(() => MoneyType, { description: 'Per month of 730 hours, afterwards.' })
  monthlyEstimate!: MoneyType;

  @Field(() => Int, { description: 'Most replicas at a time on the way.' })
  peakReplicas!: number;

  @Field(() => [PlanPlaceType], { description: 'Where its replicas go.' })
  places!: readonly PlanPlaceType[];

  @Field(() => String, { description: 'Why what was chosen was chosen.' })
  why!: string;

  @Field(() => [String], {
    description: 'What would lead to another choice: prices at which the nearest losers win, and what they lack.',
  })
  wouldChange!: readonly string[];

  @Field(() => [String], { description: 'What can go wrong.' })
  risks!: readonly string[];

  @Field(() => DateTime, { nullable: true, description: 'Until when it can be run by its hash; null when it was run.' })
  expiresAt!: Instant | null;
}

const moneyOrNull = (amount: bigint | null): MoneyType | null => (amount === null ? null : toMoney(amount));

const toCostParts = ({ price, egress, interruptions, move }: CostParts): CostPartsType => ({
  price: toMoney(price),
  egress: toMoney(egress),
  interruptions: toMoney(interruptions),
  move: toMoney(move),
});

export const toPlanType = (plan: Plan, expiresAt: Instant | null): PlanType => ({
  hash: plan.hash,
  actions: plan.actions,
  candidates: plan.candidates.map(
    ({ offering, hourly, priceSource = null, replicas = null, score, cost, chosen, rejectedBecause }) => ({
      offering: toOfferingType(offering),
      hourly: moneyOrNull(hourly),
      priceSource,
      replicas,
      monthly: moneyOrNull(hourly && hourly * HOURS_PER_MONTH),
      score: moneyOrNull(score),
      cost: cost ? toCostParts(cost) : null,
      chosen,
      rejectedBecause,
    }),
  ),
  costDelta: toMoney(plan.costDelta),
  monthlyEstimate: toMoney(plan.monthlyAfter),
  peakReplicas: plan.peakReplicas,
  places: plan.places.map(({ zone, hourly, ...place }) => ({ ...place, zone: zone || null, hourly: toMoney(hourly) })),
  ...{ why: plan.why, wouldChange: plan.wouldChange },
  risks: plan.risks,
  expiresAt,
});
