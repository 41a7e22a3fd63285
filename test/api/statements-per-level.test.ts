// Counts the statements that the process sends to PostgreSQL for one nested list, at the driver.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';
import { countingStatements } from '../support/statements.ts';

/** Deployments would be the outermost level; models are nested alike. */
const MODELS = 50;
const VERSIONS = 3;
/** Query → models → versions. */
const LEVELS = 3;
const MAX_PER_LEVEL = 2;

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
  await api.gql('mutation { createTeam(input: { name: "nested" }) { userErrors { code } } }');
  await api.gql('mutation { createProject(input: { team: { path: "nested" }, name: "lists" }) { userErrors { code } } }');
  for (let i = 0; i < MODELS; i += 1) await register(`model-${i}`);
});
afterAll(() => api.close());

async function register(name: string): Promise<void> {
  const model = await api.gql(
    'mutation ($name: String!) { registerModel(input: { project: { path: "nested/lists" }, name: $name }) { userErrors { message } } }',
    { variables: { name } },
  );
  expect(model.text).not.toContain('message');
  for (let i = 0; i < VERSIONS; i += 1) {
    const version = await api.gql(
      'mutation ($path: String!) { registerModelVersion(input: { model: { path: $path }, container: { image: "example.com/a/b:1", port: 8000, healthPath: "/", protocol: HTTP }, resources: { cpuMilli: 100, memoryMib: 64 } }) { userErrors { message path } } }',
      { variables: { path: `nested/lists/${name}` } },
    );
    expect(version.text).not.toContain('"message"');
  }
}

describe('API: nested lists', () => {
  test('fifty models with three versions each take at most two statements per level', async () => {
    const query = `{ models(first: ${MODELS}) { nodes { name project { path } versions(first: ${VERSIONS}) { nodes { number } } aliases { name } } } }`;
    const { statements, value } = await countingStatements(() =>
      api.gql<{ models: { nodes: { versions: { nodes: unknown[] } }[] } }>(query),
    );
    expect(value.data?.models.nodes).toHaveLength(MODELS);
    expect(value.data?.models.nodes.every(({ versions }) => versions.nodes.length === VERSIONS)).toBe(true);
    expect(statements.length).toBeGreaterThanOrEqual(LEVELS);
    expect(statements.length, statements.join('\n')).toBeLessThanOrEqual(LEVELS * MAX_PER_LEVEL);
  });
});
