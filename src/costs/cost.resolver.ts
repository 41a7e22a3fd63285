import DataLoader from 'dataloader';
import { GraphQLError } from 'graphql';
import { Arg, Args, ArgsType, Ctx, Field, FieldResolver, Query, Resolver, Root } from 'type-graphql';
import { DeploymentType } from '../deployments/deployment.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { TimeRangeInput } from '../graphql/time-range.input.ts';
import type { Id } from '../kernel/id.ts';
import { ModelType } from '../registry/model.type.ts';
import type { CostDimension, CostSpreading, CostStep } from './cost-breakdown.ts';
import { CostDimensionName, CostFilterInput, CostSpreadingName, CostStepName, toCostFilter } from './cost.input.ts';
import { CostBreakdownType, toCostBreakdownType } from './cost.type.ts';
import { TooMuchAsked, type Breakdown, type CostsService } from './costs.service.ts';

@ArgsType()
export class CostsArgs {
  @Field(() => TimeRangeInput, { description: 'When; widened to whole minutes.' })
  range!: TimeRangeInput;

  @Field(() => [CostDimensionName], { description: 'One row per combination of these; empty for one row in all.' })
  groupBy!: CostDimension[];

  @Field(() => CostStepName, { nullable: true, description: 'Cuts the range, one row per group and step.' })
  step?: CostStep | null;

  @Field(() => CostFilterInput, { nullable: true, description: 'What to sum.' })
  filter?: CostFilterInput | null;

  @Field(() => CostSpreadingName, {
    defaultValue: 'NONE',
    description: 'Whether what nobody has of shared nodes is spread over those who are on them. Ledger lines never change.',
  })
  spreading!: CostSpreading;
}

@Resolver()
export class CostResolver {
  readonly #service: CostsService;

  constructor(service: CostsService) {
    this.#service = service;
  }

  @Query(() => CostBreakdownType, {
    description:
      'What things cost, from the ledger; open minutes are computed by the same rule. Costs of deployments of teams that you may read, whoever called them.',
  })
  async costs(
    @Args(() => CostsArgs) { range, groupBy, step, filter, spreading }: CostsArgs,
    @Ctx() context: ApiContext,
  ): Promise<CostBreakdownType> {
    const { from, to } = range;
    const input = {
      from,
      to,
      groupBy: [...new Set(groupBy)],
      step: step ?? null,
      filter: toCostFilter(filter),
      spreading,
      now: context.now,
    };
    const tx = await context.read();
    return toCostBreakdownType(await orClientError(this.#service.breakdown(tx, context.principal, input)));
  }
}

@Resolver(() => ModelType)
export class ModelCostsResolver {
  readonly #service: CostsService;

  constructor(service: CostsService) {
    this.#service = service;
  }

  @FieldResolver(() => CostBreakdownType, { description: 'What serving the model cost.' })
  async costs(
    @Root() model: ModelType,
    @Arg('range', () => TimeRangeInput, { description: 'When; widened to whole minutes.' }) range: TimeRangeInput,
    @Ctx() context: ApiContext,
  ): Promise<CostBreakdownType> {
    return toCostBreakdownType(await costsLoader(this.#service, context, 'MODEL', range).load(model.row.id));
  }
}

@Resolver(() => DeploymentType)
export class DeploymentCostsResolver {
  readonly #service: CostsService;

  constructor(service: CostsService) {
    this.#service = service;
  }

  @FieldResolver(() => CostBreakdownType, { description: 'What the deployment cost.' })
  async costs(
    @Root() deployment: DeploymentType,
    @Arg('range', () => TimeRangeInput, { description: 'When; widened to whole minutes.' }) range: TimeRangeInput,
    @Ctx() context: ApiContext,
  ): Promise<CostBreakdownType> {
    return toCostBreakdownType(await costsLoader(this.#service, context, 'DEPLOYMENT', range).load(deployment.row.id));
  }
}

/** Costs of many things of one kind over the same range, in one question. */
const costsLoader = (
  service: CostsService,
  context: ApiContext,
  dimension: CostDimension,
  { from, to }: TimeRangeInput,
): DataLoader<Id, Breakdown> =>
  context.loader(`costs ${dimension} ${from} ${to}`, () => {
    return new DataLoader<Id, Breakdown>(async (ids) => {
      const tx = await context.read();
      const found = await orClientError(
        service.breakdownsOf(tx, context.principal, { from, to, now: context.now, dimension, ids }),
      );
      return ids.map((id) => found.get(id) ?? new Error('a breakdown was not computed'));
    });
  });

async function orClientError<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof TooMuchAsked) throw new GraphQLError(error.message, { extensions: { code: 'BAD_USER_INPUT' } });
    throw error;
  }
}
