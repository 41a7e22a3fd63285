// Counts the statements that the process sends to PostgreSQL for one nested list, at the driver.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
