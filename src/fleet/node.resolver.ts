import DataLoader from 'dataloader';
import { Arg, Args, Ctx, FieldResolver, Int, Mutation, Resolver, Root } from 'type-graphql';
import { DEFAULT_PAGE, decodeCursor, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { idOfType, NOWHERE } from '../graphql/global-id.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { pageSize } from '../graphql/page.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { callerOf } from '../identity/identity.resolver.ts';
import type { Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Result } from '../kernel/result.ts';
import { ClusterType, PoolType, toPoolType } from './cluster.type.ts';
import type { FleetService } from './fleet.service.ts';
import {
  ClusterNodeConnection,
  ClusterNodeType,
  PoolScalingType,
  ResumePoolGrowthArgs,
  ResumePoolGrowthPayload,
  SetPoolScalingArgs,
  SetPoolScalingPayload,
  toClusterNodeType,
  toPoolScalingType,
} from './node.type.ts';
import type { ClusterNode, PoolScaling } from './node.ts';
import type { NodesService } from './nodes.service.ts';

/** From a cluster to its nodes. */
@Resolver(() => ClusterType)
export class ClusterNodesResolver {
  readonly #service: NodesService;

  constructor(service: NodesService) {
    this.#service = service;
  }

  @FieldResolver(() => ClusterNodeConnection, { description: 'Its nodes that are there, by name.' })
  async nodes(
    @Root() cluster: ClusterType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const limit = pageSize(first);
    const behind = decodeCursor(after);
    const loader = context.loader(`cluster.nodes ${limit} ${behind ?? ''}`, () => {
      return new DataLoader<Id, ClusterNode[]>(async (clusterIds) => {
        const rows = await this.#service.nodes(await context.read(), { clusterIds, after: behind, limit });
        const byCluster = Map.groupBy(rows, ({ clusterId }) => clusterId);
        return clusterIds.map((id) => byCluster.get(id) ?? []);
      });
    });
    const rows = await loader.load(cluster.rowId);
    const page = { items: rows.slice(0, limit), hasNextPage: rows.length > limit, totalCount: null };
    return toConnection(page, toClusterNodeType, ({ name }) => name);
  }
}

@Resolver(() => ClusterNodeType)
export class ClusterNodeResolver {
  readonly #service: NodesService;

  constructor(service: NodesService) {
    this.#service = service;
  }

  @FieldResolver(() => MoneyType, {
    nullable: true,
    description: 'What it costs per hour now, by its annotation or, where it has none, the price book; null = nobody knows.',
  })
  async pricePerHour(@Root() { row }: ClusterNodeType, @Ctx() context: ApiContext): Promise<MoneyType | null> {
    const loader = context.loader('clusterNode.price', () => {
      return new DataLoader<ClusterNode, bigint | null>(async (rows) => this.#service.prices(await context.read(), rows));
    });
    const price = await loader.load(row);
    return price === null ? null : toMoney(price);
  }
}

/** How pools scale. */
@Resolver(() => PoolType)
export class PoolScalingResolver {
  readonly #deps: { readonly nodes: NodesService; readonly fleet: FleetService };

  constructor(deps: { readonly nodes: NodesService; readonly fleet: FleetService }) {
    this.#deps = deps;
  }

  @FieldResolver(() => PoolScalingType, { nullable: true, description: 'How it grows and shrinks; null = by hand.' })
  async scaling(@Root() pool: PoolType, @Ctx() context: ApiContext): Promise<PoolScalingType | null> {
    const loader = context.loader('pool.scaling', () => {
      return new DataLoader<Id, PoolScaling | null>(async (ids) => {
        const rows = new Map((await this.#deps.nodes.scalings(await context.read(), ids)).map((one) => [one.poolId, one]));
        return ids.map((id) => rows.get(id) ?? null);
      });
    });
    const scaling = await loader.load(idOfType('Pool', pool.id) ?? NOWHERE);
    return scaling && toPoolScalingType(scaling);
  }

  @Mutation(() => SetPoolScalingPayload, {
    description: 'Lets a pool grow for replicas that fit nowhere and give back nodes that nothing runs on.',
  })
  async setPoolScaling(
    @Ctx() context: ApiContext,
    @Args(() => SetPoolScalingArgs) { input, idempotencyKey, expectedVersion = null }: SetPoolScalingArgs,
  ): Promise<SetPoolScalingPayload> {
    const { provider, minNodes, maxNodes, settings } = input;
    const config = Object.fromEntries(settings.map(({ name, value }) => [name, value]));
    const wish = { poolId: idOfType('Pool', input.pool) ?? NOWHERE, provider, minNodes, maxNodes, config, expectedVersion };
    return this.#answer(context, await this.#deps.nodes.setScaling(callerOf(context, idempotencyKey), wish));
  }

  @Mutation(() => ResumePoolGrowthPayload, {
    description: 'Lets a pool, or all of them, grow on after it was held for growing too fast: see why it grew first.',
  })
  async resumePoolGrowth(
    @Ctx() context: ApiContext,
    @Args(() => ResumePoolGrowthArgs) { input: { pool, all }, idempotencyKey, expectedVersion = null }: ResumePoolGrowthArgs,
  ): Promise<ResumePoolGrowthPayload> {
    const wish = { poolId: idOfType('Pool', pool) ?? NOWHERE, all, expectedVersion };
    return this.#answer(context, await this.#deps.nodes.resumeGrowth(callerOf(context, idempotencyKey), wish));
  }

  async #answer(context: ApiContext, outcome: Result<{ readonly poolId: Id }, Failure>): Promise<SetPoolScalingPayload> {
    await context.changed();
    if (!outcome.ok) return { pool: null, userErrors: toUserErrors([outcome.error]) };
    const pool = await this.#deps.fleet.pool(await context.read(), context.principal, outcome.value.poolId);
    return { pool: pool && toPoolType(pool), userErrors: [] };
  }
}

export const clusterNodeNodes = (service: NodesService): NodeSource[] => [
  {
    typeName: 'ClusterNode',
    load: async (context, id) => {
      const node = await service.node(await context.read(), context.principal, id);
      return node && toClusterNodeType(node);
    },
  },
];
