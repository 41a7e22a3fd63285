import DataLoader from 'dataloader';
import { Arg, Ctx, FieldResolver, Query, Resolver, Root } from 'type-graphql';
import type { ApiContext } from '../graphql/context.ts';
import { TimeRangeInput } from '../graphql/time-range.input.ts';
import {
  CloudBillType,
  CloudFeedType,
  CloudFindingType,
  CloudType,
  toCloudBillType,
  toCloudFeedType,
  toCloudType,
} from './cloud.type.ts';
import type { CloudsService } from './clouds.service.ts';
import type { FeedAge } from './feed-ages.port.ts';

/** Asks nobody for the operation's transaction: providers may take their time, and the database is not kept waiting. */
@Resolver(() => CloudType)
export class CloudResolver {
  readonly #service: CloudsService;

  constructor(service: CloudsService) {
    this.#service = service;
  }

  @Query(() => [CloudType], {
    description: 'Who rents machines and says prices, as configured. For administrators of the platform.',
  })
  clouds(
    @Ctx() { principal }: ApiContext,
    @Arg('name', () => String, { nullable: true, description: 'Only the one that is called so.' }) name: string | null,
  ): CloudType[] {
    return this.#service.list(principal, name).map(toCloudType);
  }

  @FieldResolver(() => CloudFeedType, { nullable: true, description: 'How its prices are read; null = they are not.' })
  async feed(@Root() { row }: CloudType, @Ctx() context: ApiContext): Promise<CloudFeedType | null> {
    const loader = context.loader('cloud.feedAge', () => {
      return new DataLoader<string, FeedAge | undefined>(async (names) => {
        const ages = await this.#service.feedAges(context.principal);
        return names.map((name) => ages.get(name));
      });
    });
    return row.prices && toCloudFeedType(row, await loader.load(row.name));
  }

  @FieldResolver(() => [CloudFindingType], {
    description:
      'Whether it can be used: credentials, permissions, quotas, notices, prices. Asks it; what does not answer in time is unknown.',
  })
  check(@Root() { row }: CloudType, @Ctx() { principal }: ApiContext): Promise<readonly CloudFindingType[]> {
    return this.#service.check(principal, row);
  }

  @Query(() => CloudBillType, {
    nullable: true,
    description:
      'What a cloud charged; null = there is no such cloud, or it has no bills. Asks it, and some take a fee for that.',
  })
  async cloudBill(
    @Ctx() { principal }: ApiContext,
    @Arg('cloud', () => String, { description: 'Its name.' }) cloud: string,
    @Arg('range', () => TimeRangeInput, { description: 'Charges whose period begins in it.' }) { from, to }: TimeRangeInput,
  ): Promise<CloudBillType | null> {
    const answer = await this.#service.bill(principal, { cloud, from, to });
    return answer && toCloudBillType(answer);
  }
}
