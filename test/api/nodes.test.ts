// One stored thing of every kind that has a global id, looked up by it; what the schema says is a Node must be found as one.
import { isInterfaceType } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeSchema } from '../../src/api/schema.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { furnish, type Belongings } from '../support/two-teams.ts';

const schema = makeSchema();
const node = schema.getType('Node');
const KINDS = isInterfaceType(node) ? schema.getPossibleTypes(node).map(({ name }) => name) : [];

let api: TestApi;
let things: Belongings;

beforeAll(async () => {
  api = await startApi();
  await api.tokenFor('viewer', 'crew');
  things = await furnish(api.db.superUrl, 'crew');
});
afterAll(() => api.close());

describe('API: everything with a global id is found by it', () => {
  test.each(KINDS)('%s', async (kind) => {
    const id = things[kind]?.id;
    expect(id, `add a ${kind} to test/support/two-teams.ts`).toBeDefined();
    const { data, text } = await api.gql(
      `query ($id: ID!, $ids: [ID!]!) { node(id: $id) { __typename id } nodes(ids: $ids) { __typename id } }`,
      {
        variables: { id, ids: ['nonsense', id] },
      },
    );
    expect(data, text).toEqual({ node: { __typename: kind, id }, nodes: [null, { __typename: kind, id }] });
  });
});
