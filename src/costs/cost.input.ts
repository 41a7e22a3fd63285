import { Field, ID, InputType, registerEnumType } from 'type-graphql';
import { idOfType } from '../graphql/global-id.ts';
import type { CostDimension, CostFilter, CostSpreading, CostStep } from './cost-breakdown.ts';

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
  NODE: 'NODE',
  OFFERING: 'OFFERING',
  STATE: 'STATE',
  KIND: 'KIND',
};
registerEnumType(CostDimensionName, {
  name: 'CostDimension',
  description: 'What costs can be grouped by.',
  valuesConfig: {
    OWNER_TEAM: {
      description:
        'The team whose deployment it is; empty for what is the platform’s: idle capacity of shared nodes and other pods on them.',
    },
    CALLER_TEAM: { description: 'The team that sent the requests; empty for what nobody used.' },
    CALLER: { description: 'The principal that sent the requests; empty for what nobody used.' },
    PROJECT: { description: 'The project of the deployment.' },
    MODEL: { description: 'The model that was served.' },
    VERSION: { description: 'The version that was served.' },
    DEPLOYMENT: { description: 'The deployment.' },
    REVISION: { description: 'The revision of the deployment.' },
    REPLICA: { description: 'The replica; for the platform’s part of a shared node, the node or the pod.' },
    CLUSTER: { description: 'The cluster that it ran on.' },
    NODE: { description: 'The shared node whose price it is a part of; empty for what is priced by itself.' },
    OFFERING: { description: 'The offering whose price was paid.' },
    STATE: { description: 'The state of the replica: starting, serving, unready or draining; empty for what is no replica.' },
    KIND: { description: 'The kind of ledger line: replica, node_idle, shared and so on.' },
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

export const CostSpreadingName: Record<CostSpreading, CostSpreading> = {
  NONE: 'NONE',
  BY_NODE: 'BY_NODE',
  BY_CLUSTER: 'BY_CLUSTER',
};
registerEnumType(CostSpreadingName, {
  name: 'CostSpreading',
  description:
    'Over whom idle capacity of shared nodes and pods that are no replicas are spread, in proportion to what replicas cost. The total stays the same.',
  valuesConfig: {
    NONE: { description: 'Over nobody: they are the platform’s.' },
    BY_NODE: { description: 'Over replicas on the same node; a node without any stays the platform’s.' },
    BY_CLUSTER: { description: 'Over all replicas of the cluster.' },
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
