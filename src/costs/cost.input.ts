import { Field, ID, InputType, registerEnumType } from 'type-graphql';
import { idOfType } from '../graphql/global-id.ts';
import type { CostDimension, CostFilter, CostStep } from './cost-breakdown.ts';

export const CostDimensionName: Record<CostDimension, CostDimension> = {
  OWNER_TEAM: 'OWNER_TEAM',
  CALLER_TEAM: 'CALLER_TEAM',
  CALLER: 'CALLER',
  PROJECT: 'PROJECT',
  MODEL: 'MODEL',
  VERSION: 'VERSION',
  DEPLOYMENT: 'DEPLOYMENT',
  REVISION: 'REVISION',
  REPLICA: 'REPLICA',
  CLUSTER: 'CLUSTER',
  OFFERING: 'OFFERING',
  STATE: 'STATE',
  KIND: 'KIND',
};
registerEnumType(CostDimensionName, {
  name: 'CostDimension',
  description: 'What costs can be grouped by.',
  valuesConfig: {
    OWNER_TEAM: { description: 'The team whose deployment it is.' },
    CALLER_TEAM: { description: 'The team that sent the requests; empty for what nobody used.' },
    CALLER: { description: 'The principal that sent the requests; empty for what nobody used.' },
    PROJECT: { description: 'The project of the deployment.' },
    MODEL: { description: 'The model that was served.' },
    VERSION: { description: 'The version that was served.' },
    DEPLOYMENT: { description: 'The deployment.' },
    REVISION: { description: 'The revision of the deployment.' },
    REPLICA: { description: 'The replica.' },
    CLUSTER: { description: 'The cluster that it ran on.' },
    OFFERING: { description: 'The offering whose price was paid.' },
    STATE: { description: 'The state of the replica: starting, serving, unready or draining.' },
    KIND: { description: 'The kind of ledger line: replica, storage, egress and so on.' },
  },
});

export const CostStepName: Record<CostStep, CostStep> = { HOUR: 'HOUR', DAY: 'DAY', MONTH: 'MONTH' };
registerEnumType(CostStepName, {
  name: 'CostStep',
  description: 'How a range is cut, in UTC.',
  valuesConfig: {
    HOUR: { description: 'By the hour.' },
    DAY: { description: 'By the day.' },
    MONTH: { description: 'By the calendar month.' },
  },
});

@InputType('CostFilter', { description: 'Only costs of all of these; an empty filter leaves nothing out.' })
export class CostFilterInput {
  @Field(() => ID, { nullable: true, description: 'Team whose deployments they are.' })
  team?: string | null;

  @Field(() => ID, { nullable: true, description: 'Team that sent the requests.' })
  callerTeam?: string | null;

  @Field(() => ID, { nullable: true, description: 'Project.' })
  project?: string | null;

  @Field(() => ID, { nullable: true, description: 'Model.' })
  model?: string | null;

  @Field(() => ID, { nullable: true, description: 'Model version.' })
  modelVersion?: string | null;

  @Field(() => ID, { nullable: true, description: 'Deployment.' })
  deployment?: string | null;

  @Field(() => ID, { nullable: true, description: 'Revision.' })
  revision?: string | null;

  @Field(() => ID, { nullable: true, description: 'Replica.' })
  replica?: string | null;

  @Field(() => ID, { nullable: true, description: 'Cluster.' })
  cluster?: string | null;
}

const FIELDS: Record<keyof CostFilterInput, { readonly type: string; readonly dimension: CostDimension }> = {
  team: { type: 'Team', dimension: 'OWNER_TEAM' },
  callerTeam: { type: 'Team', dimension: 'CALLER_TEAM' },
  project: { type: 'Project', dimension: 'PROJECT' },
  model: { type: 'Model', dimension: 'MODEL' },
  modelVersion: { type: 'ModelVersion', dimension: 'VERSION' },
  deployment: { type: 'Deployment', dimension: 'DEPLOYMENT' },
  revision: { type: 'Revision', dimension: 'REVISION' },
  replica: { type: 'Replica', dimension: 'REPLICA' },
  cluster: { type: 'Cluster', dimension: 'CLUSTER' },
};

/** An id of another type matches nothing, like an id of nothing. */
export function toCostFilter(input: CostFilterInput | null | undefined): CostFilter {
  const entries = Object.entries(FIELDS).flatMap(([name, { type, dimension }]) => {
    const id = input?.[name as keyof CostFilterInput];
    return id === null || id === undefined ? [] : [[dimension, [idOfType(type, id) ?? 'nothing']] as const];
  });
  return Object.fromEntries(entries);
}
