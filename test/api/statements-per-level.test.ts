// Counts the statements that the process sends to PostgreSQL for one nested list, at the driver.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAXIMUM_COST } from '../../src/graphql/cost.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { DEPLOYMENTS, makeNestedDeployments, NESTED_QUERY, VERSIONS } from '../support/nested-deployments.ts';
import { countingStatements } from '../support/statements.ts';

/** Query → deployments → revisions → model versions → models → versions. */
const LEVELS = 5;
const MAX_PER_LEVEL = 2;

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
  await makeNestedDeployments(api.db.database, async (query, variables) => {
    const { data, text } = await api.gql<{ deploy: { userErrors: unknown[] } }>(query, { variables });
    if (!data) throw new Error(text);
    return data;
  });
});
afterAll(() => api.close());

interface Listed {
  readonly deployments: { readonly nodes: readonly Deployed[] };
}

interface Deployed {
  readonly name: string;
  readonly revision: { readonly modelVersion: { readonly model: { name: string; versions: { nodes: unknown[] } } } };
}

describe('API: nested lists', () => {
  test('fifty deployments with their models and three versions each take at most two statements per level', async () => {
    const { statements, value } = await countingStatements(() => api.gql<Listed>(NESTED_QUERY));
    const nodes = value.data?.deployments.nodes ?? [];
    expect(nodes, value.text.slice(0, 500)).toHaveLength(DEPLOYMENTS);
    for (const { name, revision } of nodes) {
      expect(revision.modelVersion.model.name).toBe(name);
      expect(revision.modelVersion.model.versions.nodes).toHaveLength(VERSIONS);
    }
    expect(statements.length).toBeGreaterThanOrEqual(LEVELS);
    expect(statements.length, statements.join('\n')).toBeLessThanOrEqual(LEVELS * MAX_PER_LEVEL);
  });
});

const CLUSTERS = 8;
const NODES = 6;

/** Clusters with pools and nodes of two prices each, as their loops would have written them. */
const makeNodes = (): Promise<unknown> =>
  api.db.database.write({ kind: 'reconciler', loop: 'test' }, async (tx) => {
    await sqlOf(tx).execute(
      `insert into cluster (id, name, kind, version, created_at)
       select gen_random_uuid(), 'cluster-' || n, 'kubernetes', 1, 0 from generate_series(1, $1) n`,
      [CLUSTERS],
    );
    await sqlOf(tx).execute(
      `insert into pool (id, cluster_id, name, capacity_type, version, created_at)
       select gen_random_uuid(), id, 'default', 'on_demand', 1, 0 from cluster where name like 'cluster-%'`,
    );
    await sqlOf(tx).execute(
      `insert into pool_scaling (pool_id, provider, config, min_nodes, max_nodes, version)
       select pool.id, 'command', '{}', 0, 10, 1 from pool join cluster on cluster.id = cluster_id where cluster.name like 'cluster-%'`,
    );
    await sqlOf(tx).execute(
      `insert into node (id, cluster_id, name, capacity_type, capacity, allocatable, from_at, readiness, readiness_since, schedulable, releasing,
         pods, observed_at, version, price_per_hour)
       select gen_random_uuid(), cluster.id, 'node-' || n, 'on_demand', $2, $2, 0, 'ready', 0, true, false, 0, 0, 1, n * 1000000000::numeric
       from cluster cross join generate_series(1, $1) n where cluster.name like 'cluster-%'`,
      [NODES, JSON.stringify({ cpuMilli: 2_000, memoryMib: 4_096, accelerator: null })],
    );
  });

interface Fleet {
  readonly clusters: {
    readonly nodes: readonly {
      readonly name: string;
      readonly pools: readonly { readonly scaling: { readonly maxNodes: number } }[];
      readonly nodes: { readonly nodes: readonly { readonly pricePerHour: { readonly amount: string } }[] };
    }[];
  };
}

/** Query → clusters → pools and nodes → how they scale and what they cost. */
const FLEET_LEVELS = 3;
const FLEET = `{ clusters { nodes { name pools { name scaling { maxNodes } }
  nodes { nodes { name capacity { cpuMilli } allocatable { cpuMilli } pricePerHour { amount } } } } } }`;

describe('API: clusters with their nodes', () => {
  beforeAll(() => makeNodes());

  test('the default pages of both are well within what a caller may ask, at two statements per level', async () => {
    const { statements, value } = await countingStatements(() => api.gql<Fleet>(FLEET));
    const clusters = (value.data?.clusters.nodes ?? []).filter(({ name }) => name.startsWith('cluster-'));
    expect(clusters, value.text.slice(0, 500)).toHaveLength(CLUSTERS);
    for (const { pools, nodes } of clusters) {
      expect(pools).toMatchObject([{ scaling: { maxNodes: 10 } }]);
      expect(nodes.nodes.map(({ pricePerHour }) => pricePerHour.amount)).toContain('0.001');
      expect(nodes.nodes).toHaveLength(NODES);
    }
    expect(statements.length, statements.join('\n')).toBeLessThanOrEqual(FLEET_LEVELS * MAX_PER_LEVEL);
    expect(value.extensions?.cost.requestedQueryCost).toBeLessThan(MAXIMUM_COST / 4);
  });
});
