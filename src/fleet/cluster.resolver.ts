import DataLoader from 'dataloader';
import { Arg, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { DEFAULT_PAGE, decodeCursor, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { idOfType, NOWHERE } from '../graphql/global-id.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { pageSize } from '../graphql/page.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { callerOf } from '../identity/identity.resolver.ts';
import type { Id } from '../kernel/id.ts';
import { ClusterConnection, ClusterType, CordonClusterPayload, PoolType, toClusterType, toPoolType } from './cluster.type.ts';
import type { Pool } from './cluster.ts';
import type { FleetService } from './fleet.service.ts';

@InputType('CordonClusterInput', { description: 'Whether a cluster takes new replicas.' })
export class CordonClusterInput {
  @Field(() => ID, { description: 'Global id of the cluster.' })
  cluster!: string;

  @Field(() => Boolean, { defaultValue: true, description: 'False lets it take replicas again.' })
  cordoned!: boolean;
}

@Resolver(() => ClusterType)
export class ClusterResolver {
  readonly #service: FleetService;

  constructor(service: FleetService) {
    this.#service = service;
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
    const loader = context.loader('cluster.pools', () => new DataLoader<Id, Pool[]>((ids) => this.#pools(context, ids)));
    return (await loader.load(cluster.rowId)).map(toPoolType);
  }

  @Mutation(() => CordonClusterPayload, { description: 'Stops (or allows again) new placements in a cluster.' })
  async cordonCluster(
    @Ctx() context: ApiContext,
    @Arg('input', () => CordonClusterInput, { description: 'What.' }) input: CordonClusterInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
    @Arg('expectedVersion', () => Int, { nullable: true, description: 'Refused if the cluster has changed since.' })
    expectedVersion?: number | null,
  ): Promise<CordonClusterPayload> {
    const caller = callerOf(context, idempotencyKey);
    const clusterId = idOfType('Cluster', input.cluster) ?? NOWHERE;
    const outcome = await this.#service.cordon(caller, {
      clusterId,
      cordoned: input.cordoned,
      expectedVersion: expectedVersion ?? null,
    });
    await context.changed();
    if (!outcome.ok) return { cluster: null, userErrors: toUserErrors([outcome.error]) };
    const cluster = await this.#service.cluster(await context.read(), context.principal, { id: clusterId });
    return { cluster: cluster && toClusterType(cluster), userErrors: [] };
  }

  async #pools(context: ApiContext, ids: readonly Id[]): Promise<Pool[][]> {
    const rows = Map.groupBy(await this.#service.pools(await context.read(), ids), (pool) => pool.clusterId);
    return ids.map((id) => rows.get(id) ?? []);
  }
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
