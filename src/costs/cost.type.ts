import { Field, ObjectType } from 'type-graphql';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { BigInteger, DateTime } from '../graphql/scalars.ts';
import type { Instant } from '../kernel/instant.ts';
import type { CostDimension } from './cost-breakdown.ts';
import { CostDimensionName } from './cost.input.ts';
import type { Breakdown, LabelledRow } from './costs.service.ts';

const ESTIMATED =
  'Part of the cost at a price that is assumed: replicas on your own machine are priced like the offering that they fit, until a price is set, and so are those on nodes that are not known; and everything at prices whose feeds were all silent for too long.';

@ObjectType('CostKey', { description: 'One value of one dimension.' })
export class CostKeyType {
  @Field(() => CostDimensionName, { description: 'Dimension.' })
  dimension!: CostDimension;

  @Field(() => String, { description: 'What people call it: a name or path; empty where a cost has no such thing.' })
  value!: string;
}

@ObjectType('EffectiveRange', { description: 'A half-open range of time, `[from, to)`.' })
export class EffectiveRangeType {
  @Field(() => DateTime, { description: 'First instant.' })
  from!: Instant;

  @Field(() => DateTime, { description: 'First instant after the range.' })
  to!: Instant;
}

@ObjectType('CostRow', { description: 'What one group cost.' })
export class CostRowType {
  @Field(() => [CostKeyType], { description: 'The group, in the order of `groupBy`.' })
  key!: readonly CostKeyType[];

  @Field(() => DateTime, { nullable: true, description: 'Start of the step; null without a step.' })
  period!: Instant | null;

  @Field(() => MoneyType, { description: 'Effective cost of the group.' })
  cost!: MoneyType;

  @Field(() => MoneyType, { description: 'The same at list prices.' })
  listCost!: MoneyType;

  @Field(() => MoneyType, { description: 'Part of the cost in which requests were served.' })
  busy!: MoneyType;

  @Field(() => MoneyType, { description: 'Part in which a ready replica had nothing to do.' })
  idle!: MoneyType;

  @Field(() => MoneyType, { description: 'Part before replicas were first ready.' })
  starting!: MoneyType;

  @Field(() => MoneyType, { description: 'Part in which replicas finished their last requests.' })
  draining!: MoneyType;

  @Field(() => MoneyType, { description: 'Part in which replicas were not ready, restarts included.' })
  unready!: MoneyType;

  @Field(() => MoneyType, { description: 'Part that is capacity of shared nodes which no pod had.' })
  nodeIdle!: MoneyType;

  @Field(() => MoneyType, {
    description: 'Part that is pods on shared nodes which are no replicas: system daemons and other people’s.',
  })
  shared!: MoneyType;

  @Field(() => MoneyType, { description: 'Part that could not be given to anybody.' })
  unattributed!: MoneyType;

  @Field(() => MoneyType, { description: ESTIMATED })
  estimated!: MoneyType;

  @Field(() => BigInteger, { description: 'Requests answered.' })
  requests!: number;

  @Field(() => BigInteger, { description: 'Requests that failed.' })
  errors!: number;

  @Field(() => BigInteger, { description: 'Tokens in and out.' })
  tokens!: number;

  @Field(() => BigInteger, { description: 'Requests that were reported too late to be given a cost.' })
  unattributedRequests!: number;

  @Field(() => BigInteger, { description: 'Time of replicas, and of shared nodes, without a price, in ms; it is in no amount.' })
  unpricedMs!: number;

  @Field(() => MoneyType, { nullable: true, description: 'Cost per answered request, rounded down; null without requests.' })
  unitCost!: MoneyType | null;
}

@ObjectType('CostBreakdown', { description: 'What things cost; the rows sum to the total exactly.' })
export class CostBreakdownType {
  @Field(() => MoneyType, { description: 'Sum of the rows.' })
  total!: MoneyType;

  @Field(() => [CostRowType], { description: 'One row per group and step: oldest step first, then the dearest.' })
  rows!: readonly CostRowType[];

  @Field(() => EffectiveRangeType, { description: 'The whole minutes that the range touches: what was summed.' })
  effectiveRange!: EffectiveRangeType;

  @Field(() => Boolean, { description: 'True if some minute of the range is still open: its part may change.' })
  isEstimate!: boolean;

  @Field(() => MoneyType, { description: ESTIMATED })
  estimated!: MoneyType;

  @Field(() => DateTime, { description: 'Everything before is closed; only late reports and corrected prices add to it.' })
  reconciledUntil!: Instant;

  @Field(() => BigInteger, { description: 'Time of replicas, and of shared nodes, without a price, in ms; it is in no amount.' })
  unpricedMs!: number;
}

export const toCostBreakdownType = (breakdown: Breakdown): CostBreakdownType => ({
  total: toMoney(breakdown.total.cost),
  rows: breakdown.rows.map(toRowType),
  effectiveRange: breakdown.effectiveRange,
  isEstimate: breakdown.isEstimate,
  estimated: toMoney(breakdown.total.estimated),
  reconciledUntil: breakdown.reconciledUntil,
  unpricedMs: breakdown.total.unpricedMs,
});

const toRowType = (row: LabelledRow): CostRowType => ({
  key: row.labels,
  period: row.period,
  cost: toMoney(row.cost),
  listCost: toMoney(row.list),
  busy: toMoney(row.busy),
  idle: toMoney(row.idle),
  starting: toMoney(row.starting),
  draining: toMoney(row.draining),
  unready: toMoney(row.unready),
  nodeIdle: toMoney(row.nodeIdle),
  shared: toMoney(row.shared),
  unattributed: toMoney(row.unattributed),
  estimated: toMoney(row.estimated),
  requests: row.requests,
  errors: row.errors,
  tokens: row.inputTokens + row.outputTokens,
  unattributedRequests: row.unattributedRequests,
  unpricedMs: row.unpricedMs,
  unitCost: row.requests > 0 ? toMoney(row.cost / BigInt(row.requests)) : null,
});
