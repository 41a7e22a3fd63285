import DataLoader from 'dataloader';
import { GraphQLError } from 'graphql';
import { Arg, Ctx, FieldResolver, Int, Query, Resolver, Root } from 'type-graphql';
import { DEFAULT_PAGE, decodeCursor, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { MoneyType, toMoney } from '../graphql/money.type.ts';
import { pageSize } from '../graphql/page.ts';
import { DateTime } from '../graphql/scalars.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsd } from '../kernel/money.ts';
import { versionLoader } from '../registry/model.loader.ts';
import { ModelVersionType, toModelVersionType } from '../registry/model.type.ts';
import type { ModelsService } from '../registry/models.service.ts';
import { isSettled, UNSETTLED_MS } from './snapshot.ts';
import type { SnapshotService } from './snapshot.service.ts';
import {
  AliasSnapshotConnection,
  AliasSnapshotType,
  DeploymentSnapshotConnection,
  DeploymentSnapshotType,
  SnapshotType,
  toAliasSnapshotType,
  toDeploymentSnapshotType,
  TrafficShareSnapshotType,
} from './snapshot.type.ts';

@Resolver(() => SnapshotType)
export class SnapshotResolver {
  readonly #service: SnapshotService;

  constructor(service: SnapshotService) {
    this.#service = service;
  }

  @Query(() => SnapshotType, {
    description:
      'What served at an instant, at which split, price and cost. Refused for the last 10 seconds, which may still change.',
  })
  asOf(@Ctx() context: ApiContext, @Arg('instant', () => DateTime, { description: 'When.' }) instant: Instant): SnapshotType {
    if (isSettled(instant, context.now)) return { instant };
    const message = `instant must be at least ${UNSETTLED_MS / 1_000} seconds ago: what is newer may still change.`;
    throw new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
  }

  @FieldResolver(() => DeploymentSnapshotConnection, { description: 'The deployments that were wished for, by path.' })
  async deployments(
    @Root() { instant }: SnapshotType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const page = await this.#service.deployments(await context.read(), context.principal, {
      instant,
      after: decodeCursor(after),
      first: pageSize(first),
    });
    return toConnection({ ...page, totalCount: null }, toDeploymentSnapshotType(instant), ({ path }) => path);
  }

  @FieldResolver(() => AliasSnapshotConnection, { description: 'Where aliases pointed, by model path and name.' })
  async aliases(
    @Root() { instant }: SnapshotType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
  ) {
    const page = await this.#service.aliases(await context.read(), context.principal, {
      instant,
      after: decodeCursor(after),
      first: pageSize(first),
    });
    return toConnection({ ...page, totalCount: null }, toAliasSnapshotType, ({ modelPath, name }) => `${modelPath}@${name}`);
  }

  @FieldResolver(() => MoneyType, {
    description: 'All cost so far, as the ledger told it then: the sum of the lines written before the instant.',
  })
  async cost(@Root() { instant }: SnapshotType, @Ctx() context: ApiContext): Promise<MoneyType> {
    return toMoney(await this.#service.cost(await context.read(), context.principal, instant));
  }
}

@Resolver(() => DeploymentSnapshotType)
export class DeploymentSnapshotResolver {
  readonly #service: SnapshotService;

  constructor(service: SnapshotService) {
    this.#service = service;
  }

  @FieldResolver(() => MoneyType, { description: 'Its cost so far, as the ledger told it then.' })
  async cost(@Root() { row, instant }: DeploymentSnapshotType, @Ctx() context: ApiContext): Promise<MoneyType> {
    return toMoney(await pastCostLoader(context, this.#service, instant).load(row.deploymentId));
  }
}

@Resolver(() => TrafficShareSnapshotType)
export class TrafficShareSnapshotResolver {
  readonly #models: ModelsService;

  constructor(models: ModelsService) {
    this.#models = models;
  }

  @FieldResolver(() => ModelVersionType, { nullable: true, description: 'The model version that the revision runs.' })
  async modelVersion(
    @Root() { modelVersionId }: TrafficShareSnapshotType,
    @Ctx() context: ApiContext,
  ): Promise<ModelVersionType | null> {
    const version = modelVersionId === null ? null : await versionLoader(context, this.#models).load(modelVersionId);
    return version && toModelVersionType(version);
  }
}

@Resolver(() => AliasSnapshotType)
export class AliasSnapshotResolver {
  readonly #models: ModelsService;

  constructor(models: ModelsService) {
    this.#models = models;
  }

  @FieldResolver(() => ModelVersionType, { nullable: true, description: 'What it pointed at.' })
  async version(@Root() { versionId }: AliasSnapshotType, @Ctx() context: ApiContext): Promise<ModelVersionType | null> {
    const version = await versionLoader(context, this.#models).load(versionId);
    return version && toModelVersionType(version);
  }
}

const pastCostLoader = (context: ApiContext, service: SnapshotService, instant: Instant): DataLoader<Id, PicoUsd> =>
  context.loader(
    `costs as of ${instant}`,
    () =>
      new DataLoader<Id, PicoUsd>(async (ids) => {
        const found = await service.costsOf(await context.read(), context.principal, ids, instant);
        return ids.map((id) => found.get(id) ?? 0n);
      }),
  );
