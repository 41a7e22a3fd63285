import {
  Arg,
  Args,
  ArgsType,
  Ctx,
  Extensions,
  Field,
  ID,
  InputType,
  Int,
  Mutation,
  Query,
  registerEnumType,
  Resolver,
} from 'type-graphql';
import { DEFAULT_PAGE, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { priced } from '../graphql/cost.ts';
import { idOfType, NOWHERE } from '../graphql/global-id.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { idCursor, pageSize, toPage } from '../graphql/page.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { callerOf } from '../identity/identity.resolver.ts';
import type { QuarantineState } from './price-feed-store.port.ts';
import type { PriceFeedsService, QuarantineDecision } from './price-feeds.service.ts';
import {
  DecideQuarantinedPricePayload,
  PriceFeedType,
  QuarantinedPriceConnection,
  QuarantineStateName,
  RegionType,
  toFeedType,
  toQuarantinedType,
  toRegionType,
} from './price-feed.type.ts';
import type { PricesService } from './prices.service.ts';

const DecisionName: Record<string, QuarantineDecision> = { ACCEPT: 'accept', DISMISS: 'dismiss' };
registerEnumType(DecisionName, {
  name: 'QuarantineDecision',
  description: 'What a person says of a price that is not believed.',
  valuesConfig: {
    ACCEPT: { description: 'It is right: it counts from now on.' },
    DISMISS: { description: 'It is wrong: the last good price stands until the feed says something else.' },
  },
});

@InputType('DecideQuarantinedPriceInput', { description: "A person's word on a price that is not believed." })
export class DecideQuarantinedPriceInput {
  @Field(() => ID, { description: 'Which.' })
  quarantinedPrice!: string;

  @Field(() => DecisionName, { description: 'What is said of it.' })
  decision!: QuarantineDecision;
}

@ArgsType()
export class QuarantinedPricesArgs {
  @Field(() => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' })
  first!: number;

  @Field(() => String, { nullable: true, description: 'Cursor to go on behind.' })
  after?: string | null;

  @Field(() => String, { nullable: true, description: 'Only of this feed.' })
  feed?: string | null;

  @Field(() => [QuarantineStateName], { defaultValue: ['open'], description: 'Only in one of these states.' })
  states!: QuarantineState[];
}

@Resolver(() => PriceFeedType)
export class PriceFeedResolver {
  readonly #feeds: PriceFeedsService;
  readonly #prices: PricesService;

  constructor(feeds: PriceFeedsService, prices: PricesService) {
    this.#feeds = feeds;
    this.#prices = prices;
  }

  @Query(() => [PriceFeedType], { description: 'Who says prices, and how it is doing; by name.' })
  async priceFeeds(@Ctx() context: ApiContext): Promise<PriceFeedType[]> {
    return (await this.#feeds.feeds(await context.read(), context.principal)).map(toFeedType);
  }

  @Query(() => QuarantinedPriceConnection, { description: 'Prices that are not believed, newest first.' })
  async quarantinedPrices(
    @Ctx() context: ApiContext,
    @Args(() => QuarantinedPricesArgs) { first, after, feed, states }: QuarantinedPricesArgs,
  ) {
    const limit = pageSize(first);
    const question = { states, first: limit, after: idCursor(after), ...(feed ? { feed } : {}) };
    const rows = await this.#feeds.quarantined(await context.read(), context.principal, question);
    return toConnection(toPage(rows, limit), toQuarantinedType, (row) => row.id);
  }

  @Query(() => [RegionType], { description: 'Regions of the price book, with zones and distances; by provider and name.' })
  @Extensions(priced({ points: 10, list: 50 }))
  async regions(@Ctx() context: ApiContext): Promise<RegionType[]> {
    return (await this.#prices.regions(await context.read(), context.principal)).map(toRegionType);
  }

  @Mutation(() => DecideQuarantinedPricePayload, { description: 'Says whether a price that is not believed is right.' })
  async decideQuarantinedPrice(
    @Ctx() context: ApiContext,
    @Arg('input', () => DecideQuarantinedPriceInput, { description: 'What.' }) input: DecideQuarantinedPriceInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<DecideQuarantinedPricePayload> {
    const id = idOfType('QuarantinedPrice', input.quarantinedPrice) ?? NOWHERE;
    const outcome = await this.#feeds.decide(callerOf(context, idempotencyKey), { id, decision: input.decision });
    await context.changed();
    if (!outcome.ok) return { price: null, userErrors: toUserErrors([outcome.error]) };
    const price = await this.#feeds.quarantinedById(await context.read(), context.principal, outcome.value.id);
    return { price: price && toQuarantinedType(price), userErrors: [] };
  }
}

export const priceFeedNodes = (service: PriceFeedsService): NodeSource[] => [
  {
    typeName: 'PriceFeed',
    load: async (context, id) => {
      const feeds = await service.feeds(await context.read(), context.principal);
      const feed = feeds.find((one) => one.id === id);
      return feed ? toFeedType(feed) : null;
    },
  },
  {
    typeName: 'QuarantinedPrice',
    load: async (context, id) => {
      const price = await service.quarantinedById(await context.read(), context.principal, id);
      return price && toQuarantinedType(price);
    },
  },
];
