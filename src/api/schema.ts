import { lexicographicSortSchema, printSchema, type GraphQLSchema } from 'graphql';
import { buildSchemaSync, type ClassType, type NonEmptyArray } from 'type-graphql';
import { applyOneOf } from '../graphql/one-of.ts';
import { CloudResolver } from '../clouds/cloud.resolver.ts';
import { CostResolver, DeploymentCostsResolver, ModelCostsResolver } from '../costs/cost.resolver.ts';
import {
  AliasSnapshotResolver,
  DeploymentSnapshotResolver,
  SnapshotResolver,
  TrafficShareSnapshotResolver,
} from '../costs/snapshot.resolver.ts';
import { DecisionResolver } from '../decisions/decision.resolver.ts';
import { DeploymentMutationsResolver } from '../deployments/deployment-mutations.resolver.ts';
import { DeploymentStatusResolver } from '../deployments/deployment-status.resolver.ts';
import {
  DeploymentResolver,
  ModelDeploymentsResolver,
  ModelVersionDeploymentsResolver,
  ReplicaResolver,
  RevisionResolver,
} from '../deployments/deployment.resolver.ts';
import { FleetPlanResolver } from '../deployments/fleet-plan.resolver.ts';
import { RebuildResolver } from '../deployments/rebuild.resolver.ts';
import { ModelVersionServedResolver, ServingIntervalResolver } from '../deployments/served.resolver.ts';
import { ClusterResolver } from '../fleet/cluster.resolver.ts';
import { ClusterNodeResolver, ClusterNodesResolver, PoolScalingResolver } from '../fleet/node.resolver.ts';
import { IdentityResolver, TeamResolver } from '../identity/identity.resolver.ts';
import { PriceAgreementResolver } from '../pricing/agreement.resolver.ts';
import { OfferingResolver } from '../pricing/offering.resolver.ts';
import { PriceFeedResolver } from '../pricing/price-feed.resolver.ts';
import { ModelAliasChangeResolver, ModelAliasResolver, ModelResolver, ModelVersionResolver } from '../registry/model.resolver.ts';
import { DeploymentEventsResolver, EventSubjectResolver } from './event-relations.resolver.ts';
import { EventResolver } from './event.resolver.ts';
import { NodeResolver } from './node.resolver.ts';

/** Every resolver class; instances come from the container that `main/compose.ts` fills. */
const RESOLVERS: NonEmptyArray<ClassType> = [
  NodeResolver,
  IdentityResolver,
  TeamResolver,
  ModelResolver,
  ModelVersionResolver,
  ModelAliasResolver,
  ModelAliasChangeResolver,
  CloudResolver,
  OfferingResolver,
  PriceFeedResolver,
  PriceAgreementResolver,
  ClusterResolver,
  ClusterNodesResolver,
  ClusterNodeResolver,
  PoolScalingResolver,
  DeploymentResolver,
  DeploymentMutationsResolver,
  DeploymentStatusResolver,
  FleetPlanResolver,
  RebuildResolver,
  RevisionResolver,
  ReplicaResolver,
  ModelDeploymentsResolver,
  ModelVersionDeploymentsResolver,
  ModelVersionServedResolver,
  ServingIntervalResolver,
  DecisionResolver,
  CostResolver,
  ModelCostsResolver,
  DeploymentCostsResolver,
  SnapshotResolver,
  DeploymentSnapshotResolver,
  TrafficShareSnapshotResolver,
  AliasSnapshotResolver,
  EventResolver,
  EventSubjectResolver,
  DeploymentEventsResolver,
];

/** Finds the instance of a resolver class. */
export interface ResolverContainer {
  get(resolver: unknown): object;
}

/** The one schema. Without a container it can be printed but not run. */
export const makeSchema = (container?: ResolverContainer): GraphQLSchema =>
  describeRoots(
    applyOneOf(
      buildSchemaSync({
        resolvers: RESOLVERS,
        validate: false,
        // Subscriptions follow the event log by themselves; the library only insists on being given one.
        pubSub: {
          publish: () => undefined,
          subscribe: () => ({
            [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }),
          }),
        },
        ...(container ? { container: { get: (resolver: ClassType) => container.get(resolver) } } : {}),
      }),
    ),
  );

const ROOTS: Readonly<Record<string, string>> = {
  Query: 'What can be asked. Absent and forbidden look the same.',
  Mutation: 'What can be changed. A refusal is in `userErrors`, never a GraphQL error.',
  Subscription: 'What can be followed; each goes on from a cursor without loss.',
};

/** The library has no way to describe the root types. */
function describeRoots(schema: GraphQLSchema): GraphQLSchema {
  for (const type of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    if (type) type.description = ROOTS[type.name];
  }
  return schema;
}

/** The schema as it is committed: sorted, with descriptions. */
export const schemaText = (): string => `${printSchema(lexicographicSortSchema(makeSchema()))}\n`;
