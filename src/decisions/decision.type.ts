import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import { connectionOf } from '../graphql/connection.type.ts';
import { upperCaseNames } from '../graphql/enum-names.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { NodeType } from '../graphql/node.type.ts';
import { DateTime, JsonValue } from '../graphql/scalars.ts';
import type { Json } from '../kernel/event.ts';
import type { Instant } from '../kernel/instant.ts';
import { DECISION_KINDS, type Decision, type DecisionKind } from './decision.ts';

export const DecisionKindName = upperCaseNames<DecisionKind>(DECISION_KINDS);
registerEnumType(DecisionKindName, {
  name: 'DecisionKind',
  description: 'What kind of decision it was.',
  valuesConfig: {
    DEPLOY: { description: 'A wish was planned and carried out.' },
    SCALE: { description: 'The number of replicas was changed.' },
    SET_TRAFFIC: { description: 'Traffic was shared anew.' },
    ROLLBACK: { description: 'Somebody went back to an earlier revision.' },
    AUTO_ROLLBACK: { description: 'A new revision failed and was taken back.' },
    DELETE: { description: 'A deployment was deleted.' },
    SCALE_POOL: { description: 'A pool was asked to have another number of nodes.' },
    CONSOLIDATE: { description: 'A node was emptied into the free room of others, because that is worth it.' },
    PREEMPT: { description: 'Replicas gave way to a deployment of higher priority, or came back.' },
    PLACE_SPOT: { description: 'Replicas were spread anew over pools of spot and on-demand capacity.' },
    MOVE: { description: 'A cheaper place was found that is worth moving to: a proposal.' },
    FAILOVER: { description: 'A cluster was lost or out of sight, and others took over.' },
  },
});

@ObjectType('Decision', { implements: NodeType, description: 'What was decided and why, with what it was decided from.' })
export class DecisionType extends NodeType {
  @Field(() => DecisionKindName, { description: 'What kind of decision it was.' })
  kind!: DecisionKind;

  @Field(() => DateTime, { description: 'When.' })
  at!: Instant;

  @Field(() => String, { description: 'A principal id, or `reconciler:<loop>`.' })
  principal!: string;

  @Field(() => ID, { description: 'Global id of what it is about.' })
  subject!: string;

  @Field(() => [String], { description: 'Why, one sentence each.' })
  reasons!: readonly string[];

  @Field(() => JsonValue, { nullable: true, description: 'What it was decided from.' })
  inputs!: Json;

  @Field(() => JsonValue, { nullable: true, description: 'The best 20 with their scores, and those that came close.' })
  candidates!: Json;

  @Field(() => JsonValue, { nullable: true, description: 'How many each reason rejected.' })
  rejected!: Json;

  @Field(() => JsonValue, { nullable: true, description: 'What was chosen; null where there was no choice.' })
  chosen!: Json;

  @Field(() => MoneyType, { nullable: true, description: 'What it leads to per hour; null where nothing is bought.' })
  expectedHourly!: MoneyType | null;
}

export const toDecisionType = (decision: Decision): DecisionType => ({
  ...decision,
  id: toGlobalId('Decision', decision.id),
  subject: toGlobalId(decision.subjectKind, decision.subjectId),
  expectedHourly: decision.expectedHourly === null ? null : toMoney(decision.expectedHourly),
});

export const DecisionConnection = connectionOf('Decision', () => DecisionType);
