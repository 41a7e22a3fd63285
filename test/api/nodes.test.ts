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

/** Lists whose cursor carries an id, a number or a key; each takes one thing by a variable, where it belongs to one. */
const LISTS: readonly (readonly [name: string, query: (after: string) => string, of: string | null])[] = [
  ['decisions', (after) => `{ decisions(after: "${after}") { nodes { id } } }`, null],
  ['principals', (after) => `{ principals(after: "${after}") { nodes { id } } }`, null],
  ['tokens', (after) => `{ tokens(after: "${after}") { nodes { id } } }`, null],
  ['offerings', (after) => `{ offerings(after: "${after}") { nodes { id } } }`, null],
  [
    'versions of a model',
    (after) => `query ($id: ID!) { node(id: $id) { ... on Model { versions(after: "${after}") { nodes { id } } } } }`,
    'Model',
  ],
  [
    'revisions of a deployment',
    (after) => `query ($id: ID!) { node(id: $id) { ... on Deployment { revisions(after: "${after}") { nodes { id } } } } }`,
    'Deployment',
  ],
];

describe('API: a cursor that no answer gave is the client’s mistake, and never the beginning of the list', () => {
  test.each(LISTS)('%s', async (_name, query, kind) => {
    const variables = kind === null ? {} : { id: things[kind]?.id };
    const made = Buffer.from('no such place').toString('base64url');
    expect((await api.gql(query(made), { variables })).text).toContain('BAD_USER_INPUT');
    expect((await api.gql(query(''), { variables })).text).not.toContain('BAD_USER_INPUT');
  });
});
