import DataLoader from 'dataloader';
import { Arg, Args, Ctx, Extensions, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql';
import { offeringKeyText } from '../clouds/offering-key.ts';
import { OfferingType, toOfferingType } from '../clouds/offering.type.ts';
import { decodeCursor, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { priced } from '../graphql/cost.ts';
import { IDEMPOTENCY_KEY } from '../graphql/idempotency-key.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { badCursor, pageSize } from '../graphql/page.ts';
import { toUserErrors } from '../graphql/payload.type.ts';
import { TimeRangeInput } from '../graphql/time-range.input.ts';
import { callerOf } from '../identity/identity.resolver.ts';
import type { Id } from '../kernel/id.ts';
import { parseUsd } from '../kernel/money.ts';
import {
  OfferingKeyInput,
  OfferingsArgs,
  SetPriceOverrideInput,
  toOfferingKey,
  type OfferingFilterInput,
} from './offering.input.ts';
import {
  OfferingConnection,
  PricePointType,
  PriceType,
  SetPriceOverridePayload,
  toPricePointType,
  toPriceType,
} from './price.type.ts';
import type { OfferingCursor, OfferingFilter, PricedOffering } from './price-store.port.ts';
import type { PricesService } from './prices.service.ts';

/** Stands for "no price" in a cursor; no amount looks like it. */
const NO_PRICE = '-';

@Resolver(() => OfferingType)
export class OfferingResolver {
  readonly #service: PricesService;

  constructor(service: PricesService) {
    this.#service = service;
  }

  @Query(() => OfferingConnection, { description: 'What can be rented, with its price.' })
  async offerings(@Ctx() context: ApiContext, @Args(() => OfferingsArgs) { first, after, orderBy, filter }: OfferingsArgs) {
    const question = {
      filter: toFilter(filter ?? {}),
      orderBy,
      first: pageSize(first),
      after: toCursor(decodeCursor(after)),
      now: context.now,
    };
    const page = await this.#service.list(await context.read(), context.principal, question);
    const loader = pricedLoader(context, this.#service);
    for (const item of page.items) loader.prime(item.offering.id, item);
    return toConnection({ ...page, totalCount: null }, ({ offering }) => toOfferingType(offering), sortKeyOf);
  }

  @Query(() => [PricePointType], {
    description: 'What was believed of the price of an offering, oldest first; a gap is unpriced.',
  })
  @Extensions(priced({ points: 10, list: 500 }))
  async priceHistory(
    @Ctx() context: ApiContext,
    @Arg('offering', () => OfferingKeyInput, { description: 'Which.' }) offering: OfferingKeyInput,
    @Arg('range', () => TimeRangeInput, { description: 'When.' }) range: TimeRangeInput,
  ): Promise<PricePointType[]> {
    const question = { key: toOfferingKey(offering), from: range.from, to: range.to };
    return (await this.#service.history(await context.read(), context.principal, question)).map(toPricePointType);
  }

  @FieldResolver(() => PriceType, { nullable: true, description: 'What it costs now; null = unpriced.' })
  async price(@Root() offering: OfferingType, @Ctx() context: ApiContext): Promise<PriceType | null> {
    const priced = await pricedLoader(context, this.#service).load(offering.row.id);
    return priced?.price ? toPriceType(priced.price) : null;
  }

  @Mutation(() => SetPriceOverridePayload, {
    description: 'Sets the price of an offering by hand, or lets the observed one count again.',
  })
  async setPriceOverride(
    @Ctx() context: ApiContext,
    @Arg('input', () => SetPriceOverrideInput, { description: 'What.' }) input: SetPriceOverrideInput,
    @Arg('idempotencyKey', () => String, IDEMPOTENCY_KEY) idempotencyKey?: string | null,
  ): Promise<SetPriceOverridePayload> {
    const caller = callerOf(context, idempotencyKey);
    const pricePerHour = input.pricePerHour ? parseUsd(input.pricePerHour) : null;
    const outcome = await this.#service.setOverride(caller, { key: toOfferingKey(input.offering), pricePerHour });
    await context.changed();
    if (!outcome.ok) return { offering: null, userErrors: toUserErrors([outcome.error]) };
    const { offeringId, at } = outcome.value;
    // The new price came into force after the operation began.
    const [priced] = await this.#service.byIds(await context.read(), context.principal, [offeringId], Math.max(at, context.now));
    pricedLoader(context, this.#service).prime(offeringId, priced ?? null);
    return { offering: priced ? toOfferingType(priced.offering) : null, userErrors: [] };
  }
}

/** Offerings with prices in one statement per level. */
const pricedLoader = (context: ApiContext, service: PricesService) =>
  context.loader(
    'offering.priced',
    () =>
      new DataLoader<Id, PricedOffering | null>(async (ids) =>
        service.byIds(await context.read(), context.principal, ids, context.now),
      ),
  );

export const pricingNodes = (service: PricesService): NodeSource[] => [
  {
    typeName: 'Offering',
    load: async (context, id) => {
      const priced = await pricedLoader(context, service).load(id);
      return priced && toOfferingType(priced.offering);
    },
  },
];

const sortKeyOf = ({ offering, price }: PricedOffering): string => `${price?.effective ?? NO_PRICE} ${offeringKeyText(offering)}`;

function toCursor(text: string | null): OfferingCursor | null {
  if (text === null) return null;
  const match = /^(-|\d{1,38}) ([^\0]+)$/.exec(text);
  if (!match) throw badCursor();
  const [, price = NO_PRICE, key = ''] = match;
  return { key, price: price === NO_PRICE ? null : BigInt(price) };
}

/** Drops what was left out: null and absent mean the same. */
function toFilter({ maxPricePerHour, ...rest }: OfferingFilterInput): OfferingFilter {
  const given = Object.fromEntries(
    Object.entries(rest).filter(([, value]: [string, unknown]) => value !== null && value !== undefined),
  );
  const maximum = maxPricePerHour ? parseUsd(maxPricePerHour) : null;
  return maximum === null ? given : { ...given, maxPricePerHour: maximum };
}
