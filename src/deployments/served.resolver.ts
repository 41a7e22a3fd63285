import DataLoader from 'dataloader';
import { Arg, Ctx, Field, FieldResolver, ObjectType, Resolver, Root } from 'type-graphql';
import type { ApiContext } from '../graphql/context.ts';
import { DateTime } from '../graphql/scalars.ts';
import { TimeRangeInput } from '../graphql/time-range.input.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { ModelVersionType } from '../registry/model.type.ts';
import { deploymentLoader } from './deployment.loader.ts';
import { DeploymentType, toDeploymentType } from './deployment.type.ts';
import type { DeploymentsService } from './deployments.service.ts';
import type { ServedService } from './served.service.ts';
import type { ServingInterval } from './served-store.port.ts';

@ObjectType('ServingInterval', {
  description: 'A stretch of time in which a deployment had a ready replica of a model version, `[from, to)`.',
})
export class ServingIntervalType {
  readonly row!: ServingInterval;

  @Field(() => String, { description: '`team/project/deployment`, also of one that is gone.' })
  deploymentPath!: string;

  @Field(() => DateTime, { description: 'First instant.' })
  from!: Instant;

  @Field(() => DateTime, { nullable: true, description: 'First instant after; null = it still serves.' })
  to!: Instant | null;
}

/** What was live when, of a model version. */
@Resolver(() => ModelVersionType)
export class ModelVersionServedResolver {
  readonly #served: ServedService;

  constructor(served: ServedService) {
    this.#served = served;
  }

  @FieldResolver(() => [ServingIntervalType], {
    description: 'When it served and where, newest first; at most the newest 1,000 intervals.',
  })
  async served(
    @Root() version: ModelVersionType,
    @Ctx() context: ApiContext,
    @Arg('range', () => TimeRangeInput, { nullable: true, description: 'Only intervals that touch it; left out = ever.' })
    range?: TimeRangeInput | null,
  ): Promise<ServingIntervalType[]> {
    const rows = await servedLoader(context, this.#served, range ?? null).load(version.row.id);
    return rows.map((row) => ({ row, deploymentPath: row.deploymentPath, from: row.from, to: row.to }));
  }
}

@Resolver(() => ServingIntervalType)
export class ServingIntervalResolver {
  readonly #deployments: DeploymentsService;

  constructor(deployments: DeploymentsService) {
    this.#deployments = deployments;
  }

  @FieldResolver(() => DeploymentType, { nullable: true, description: 'The deployment; null once it is gone.' })
  async deployment(@Root() { row }: ServingIntervalType, @Ctx() context: ApiContext): Promise<DeploymentType | null> {
    const deployment = await deploymentLoader(context, this.#deployments).load(row.deploymentId);
    return deployment && toDeploymentType(deployment);
  }
}

/** One statement however many versions ask for the same range. */
const servedLoader = (
  context: ApiContext,
  served: ServedService,
  range: TimeRangeInput | null,
): DataLoader<Id, ServingInterval[]> => {
  const { from, to } = range ?? { from: null, to: null };
  return context.loader(
    `modelVersion.served ${from ?? ''} ${to ?? ''}`,
    () =>
      new DataLoader<Id, ServingInterval[]>(async (versionIds) => {
        const found = await served.intervals(await context.read(), context.principal, { versionIds, from, to });
        return versionIds.map((id) => found.get(id) ?? []);
      }),
  );
};
