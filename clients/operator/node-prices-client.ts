import { graphql } from '../typescript/generated/gql.ts';
import type { ExtenderNodePricesQuery } from '../typescript/generated/graphql.ts';
import type { PurserClient } from '../typescript/purser-client.ts';

const NodePrices = graphql(`
  query ExtenderNodePrices($cluster: String!, $after: String) {
    cluster(by: { path: $cluster }) {
      nodes(first: 100, after: $after) {
        nodes {
          name
          pricePerHour {
            amount
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
`);

/** What the machines of one cluster cost, as US dollars per hour in decimals, by the names of their nodes. */
export class NodePricesClient {
  readonly #client: PurserClient;
  readonly #cluster: string;

  constructor(client: PurserClient, cluster: string) {
    this.#client = client;
    this.#cluster = cluster;
  }

  /** Throws for a cluster that is not there or may not be seen, and when nobody answers. */
  async read(): Promise<Map<string, string>> {
    const prices = new Map<string, string>();
    let after: string | null = null;
    do {
      const { cluster }: ExtenderNodePricesQuery = await this.#client.request(NodePrices, { cluster: this.#cluster, after });
      if (!cluster) throw new Error(`There is no cluster ${this.#cluster} that this token may see.`);
      for (const { name, pricePerHour } of cluster.nodes.nodes) if (pricePerHour) prices.set(name, pricePerHour.amount);
      after = cluster.nodes.pageInfo.hasNextPage ? (cluster.nodes.pageInfo.endCursor ?? null) : null;
    } while (after !== null);
    return prices;
  }
}
