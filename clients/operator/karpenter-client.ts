import { graphql } from '../typescript/generated/gql.ts';
import type { CapacityType, KarpenterPricesQuery } from '../typescript/generated/graphql.ts';
import type { PurserClient } from '../typescript/purser-client.ts';

const Pools = graphql(`
  query KarpenterPools($cluster: String!) {
    cluster(by: { path: $cluster }) {
      config {
        namespacePrefix
      }
      pools {
        name
        capacityType
        nodeSelector {
          key
          value
        }
        scaling {
          provider
          maxNodes
          settings {
            name
            value
          }
        }
      }
    }
  }
`);

const Prices = graphql(`
  query KarpenterPrices($regions: [String!]!, $types: [String!]!, $after: String) {
    offerings(filter: { regions: $regions, instanceTypes: $types }, first: 100, after: $after) {
      nodes {
        instanceType
        zone
        capacityType
        price {
          perHour {
            amount
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

/** Of a pool: the provider that means that Karpenter rents its machines by itself. */
const KARPENTER = 'karpenter';

/** The pools of one cluster that Karpenter grows, and what machines cost. */
export class KarpenterClient {
  readonly #client: PurserClient;
  readonly #cluster: string;

  constructor(client: PurserClient, cluster: string) {
    this.#client = client;
    this.#cluster = cluster;
  }

  /** Null for a cluster that is not there or may not be seen; throws when nobody answers. */
  async pools() {
    const { cluster } = await this.#client.request(Pools, { cluster: this.#cluster });
    if (!cluster) return null;
    const pools = cluster.pools.flatMap(({ name, capacityType, nodeSelector, scaling }) =>
      scaling?.provider === KARPENTER
        ? [
            {
              ...{ name, capacityType: wordOf(capacityType), maxNodes: scaling.maxNodes },
              nodeSelector: Object.fromEntries(nodeSelector.map(({ key, value }) => [key, value])),
              settings: Object.fromEntries(scaling.settings.map(({ name: key, value }) => [key, value])),
            },
          ]
        : [],
    );
    return { installation: cluster.config?.namespacePrefix ?? 'purser', pools };
  }

  async prices(region: string, instanceTypes: readonly string[]) {
    const prices = [];
    let after: string | null = null;
    do {
      const { offerings }: KarpenterPricesQuery = await this.#client.request(Prices, {
        regions: [region],
        types: [...instanceTypes],
        after,
      });
      for (const { instanceType, zone, capacityType, price } of offerings.nodes)
        if (price)
          prices.push({ instanceType, zone: zone ?? null, capacityType: wordOf(capacityType), amount: price.perHour.amount });
      after = offerings.pageInfo.hasNextPage ? (offerings.pageInfo.endCursor ?? null) : null;
    } while (after !== null);
    return prices;
  }
}

const WORDS = { ON_DEMAND: 'on_demand', SPOT: 'spot', RESERVED: 'reserved' } as const;

const wordOf = (type: CapacityType) => WORDS[type];
