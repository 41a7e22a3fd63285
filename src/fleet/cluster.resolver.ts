import DataLoader from 'dataloader';
import { Arg, Args, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { DEFAULT_PAGE, decodeCursor, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { idOfType, NOWHERE, toGlobalId } from '../graphql/global-id.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { pageSize } from '../graphql/page.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { callerOf } from '../identity/identity.resolver.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Result } from '../kernel/result.ts';
import {
  ApproveRemovalsArgs,
  ClusterBy,
  clusterRef,
  CordonClusterArgs,
  DeclareClusterLostArgs,
  RegisterClusterArgs,
  RemoveClusterArgs,
  toCapacitySource,
  toClusterConfig,
  toClusterEdit,
  toPoolWishes,
  UpdateClusterArgs,
} from './cluster.input.ts';
import {
  ApproveRemovalsPayload,
  ClusterConnection,
  ClusterType,
  CordonClusterPayload,
  DeclareClusterLostPayload,
  PoolType,
  RegisterClusterPayload,
  RemoveClusterPayload,
  toClusterType,
  toPoolType,
  UpdateClusterPayload,
} from './cluster.type.ts';
import type { Pool } from './cluster.ts';
import type { FleetService } from './fleet.service.ts';

const NO_WAY_IN = {
  cluster: null,
  userErrors: toUserErrors([
    failure('INVALID_INPUT', 'inCluster is true, or a kubeconfig is named.', { path: ['input', 'access'] }),
  ]),
};

@Resolver(() => ClusterType)
export class ClusterResolver {
  readonly #service: FleetService;

  constructor(service: FleetService) {
    this.#service = service;
  }

  @Query(() => ClusterType, { nullable: true, description: 'One cluster; for platform administrators.' })
  async cluster(
    @Ctx() context: ApiContext,
    @Arg('by', () => ClusterBy, { description: 'Which.' }) by: ClusterBy,
  ): Promise<ClusterType | null> {
    const cluster = await this.#service.cluster(await context.read(), context.principal, clusterRef(by));
    return cluster && toClusterType(cluster);
  }

  @Query(() => ClusterConnection, { description: 'The clusters, by name; for platform administrators.' })
  async clusters(
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const page = await this.#service.clusters(await context.read(), context.principal, {
      after: decodeCursor(after),
      first: pageSize(first),
    });
    return toConnection({ ...page, totalCount: null }, toClusterType, (cluster) => cluster.name);
  }

  @FieldResolver(() => [PoolType], { description: 'Its pools, by name.' })
  async pools(@Root() cluster: ClusterType, @Ctx() context: ApiContext): Promise<PoolType[]> {
    const loader = context.loader('cluster.pools', () => {
      return new DataLoader<Id, Pool[]>(async (ids) => byCluster(await this.#service.pools(await context.read(), ids), ids));
    });
    return (await loader.load(cluster.rowId)).map(toPoolType);
  }

  @FieldResolver(() => [PoolType], {
    description:
      'Pools that were taken out and whose machines are still being given back; `scaling.conditions` says what keeps them.',
  })
  async leavingPools(@Root() cluster: ClusterType, @Ctx() context: ApiContext): Promise<PoolType[]> {
    const loader = context.loader('cluster.leavingPools', () => {
      return new DataLoader<Id, Pool[]>(async (ids) =>
        byCluster(await this.#service.leavingPools(await context.read(), ids), ids),
      );
    });
    return (await loader.load(cluster.rowId)).map(toPoolType);
  }

  @Mutation(() => RegisterClusterPayload, {
    description: 'Registers a Kubernetes cluster; what is deployed there starts as soon as it can be reached.',
  })
  async registerCluster(
    @Ctx() context: ApiContext,
    @Args(() => RegisterClusterArgs) { input, idempotencyKey }: RegisterClusterArgs,
  ): Promise<RegisterClusterPayload> {
    const config = toClusterConfig(input);
    if (!config) return NO_WAY_IN;
    const capacitySources = (input.capacitySources ?? []).map(toCapacitySource);
    const wish = { name: input.name, kind: 'kubernetes' as const, config, pools: toPoolWishes(input), capacitySources };
    return this.#payload(context, await this.#service.register(callerOf(context, idempotencyKey), wish));
  }

  @Mutation(() => UpdateClusterPayload, {
    description:
      'Changes how a cluster is reached, what it is told, or its pools, without a restart. Its namespaces name the installation there: they stay.',
  })
  async updateCluster(
    @Ctx() context: ApiContext,
    @Args(() => UpdateClusterArgs) { input, idempotencyKey, expectedVersion = null }: UpdateClusterArgs,
  ): Promise<UpdateClusterPayload> {
    const edit = toClusterEdit(input);
    if (!edit) return NO_WAY_IN;
    const change = { clusterId: idOfType('Cluster', input.cluster) ?? NOWHERE, edit, expectedVersion };
    return this.#payload(context, await this.#service.update(callerOf(context, idempotencyKey), change));
  }

  @Mutation(() => CordonClusterPayload, { description: 'Stops (or allows again) new placements in a cluster.' })
  async cordonCluster(
    @Ctx() context: ApiContext,
    @Args(() => CordonClusterArgs) { input, idempotencyKey, expectedVersion = null }: CordonClusterArgs,
  ): Promise<CordonClusterPayload> {
    const change = { clusterId: idOfType('Cluster', input.cluster) ?? NOWHERE, cordoned: input.cordoned, expectedVersion };
    return this.#payload(context, await this.#service.cordon(callerOf(context, idempotencyKey), change));
  }

  @Mutation(() => DeclareClusterLostPayload, {
    description:
      'Says that a cluster will not come back: what is wished there is wished elsewhere, within the policy of each deployment. Silence alone never does that.',
  })
  async declareClusterLost(
    @Ctx() context: ApiContext,
    @Args(() => DeclareClusterLostArgs) { input, idempotencyKey, expectedVersion = null }: DeclareClusterLostArgs,
  ): Promise<DeclareClusterLostPayload> {
    const change = { clusterId: idOfType('Cluster', input.cluster) ?? NOWHERE, lost: input.lost, expectedVersion };
    return this.#payload(context, await this.#service.declareLost(callerOf(context, idempotencyKey), change));
  }

  @Mutation(() => RemoveClusterPayload, {
    description: 'Forgets a cluster; refused while a workload is wished or left there. Nothing in it is touched.',
  })
  async removeCluster(
    @Ctx() context: ApiContext,
    @Args(() => RemoveClusterArgs) { input, idempotencyKey, expectedVersion = null }: RemoveClusterArgs,
  ): Promise<RemoveClusterPayload> {
    const change = { clusterId: idOfType('Cluster', input.cluster) ?? NOWHERE, expectedVersion };
    const outcome = await this.#service.remove(callerOf(context, idempotencyKey), change);
    await context.changed();
    return outcome.ok
      ? { removedId: toGlobalId('Cluster', outcome.value.clusterId), userErrors: [] }
      : { removedId: null, userErrors: toUserErrors([outcome.error]) };
  }

  @Mutation(() => ApproveRemovalsPayload, {
    description: 'Lets go what a cluster runs and the database does not know, after so much of it was found that it waited.',
  })
  async approveRemovals(
    @Ctx() context: ApiContext,
    @Args(() => ApproveRemovalsArgs) { input, idempotencyKey, expectedVersion = null }: ApproveRemovalsArgs,
  ): Promise<ApproveRemovalsPayload> {
    const approval = { clusterId: idOfType('Cluster', input.cluster) ?? NOWHERE, digest: input.digest, expectedVersion };
    return this.#payload(context, await this.#service.approveRemovals(callerOf(context, idempotencyKey), approval));
  }

  async #payload(context: ApiContext, outcome: Result<{ readonly clusterId: Id }, Failure>) {
    await context.changed();
    if (!outcome.ok) return { cluster: null, userErrors: toUserErrors([outcome.error]) };
    const by = { id: outcome.value.clusterId };
    const cluster = await this.#service.cluster(await context.read(), context.principal, by);
    return { cluster: cluster && toClusterType(cluster), userErrors: [] };
  }
}

function byCluster(pools: readonly Pool[], clusterIds: readonly Id[]): Pool[][] {
  const rows = Map.groupBy(pools, ({ clusterId }) => clusterId);
  return clusterIds.map((id) => rows.get(id) ?? []);
}

export const fleetNodes = (service: FleetService): NodeSource[] => [
  {
    typeName: 'Cluster',
    load: async (context, id) => {
      const cluster = await service.cluster(await context.read(), context.principal, { id });
      return cluster && toClusterType(cluster);
    },
  },
  {
    typeName: 'Pool',
    load: async (context, id) => {
      const pool = await service.pool(await context.read(), context.principal, id);
      return pool && toPoolType(pool);
    },
  },
];
