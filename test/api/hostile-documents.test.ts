// Sends malformed and hostile requests over HTTP and looks at status, text and what comes back of the values that were sent.
import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { getIntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startApi, type TestApi } from '../support/api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const SECRET = 'hunter2-do-not-echo';
const fields = (count: number) => Array.from({ length: count }, (_, i) => `a${i}: __typename`).join(' ');
const deep = (depth: number) => `{ ${'node(id: "x") { ... on Project { team { '.repeat(depth)} id ${'} } } '.repeat(depth)} }`;
const bomb = `query { ...f0 } ${Array.from({ length: 20 }, (_, i) => `fragment f${i} on Query { ...f${i + 1} ...f${i + 1} }`).join(' ')} fragment f20 on Query { __typename }`;

const HOSTILE: readonly (readonly [string, string, object?])[] = [
  ['too many aliases', `{ ${fields(16)} }`],
  ['one field repeated', `{ ${'__typename '.repeat(50)} }`],
  ['deep nesting', deep(8)],
  ['fragments that multiply', bomb],
  ['fragments in a circle', '{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }'],
  ['more tokens than allowed', `{ ${'__typename '.repeat(1_200)} }`],
  ['text that is no GraphQL', `{ viewer(${SECRET} "${SECRET}`],
  ['a string for a number', `{ teams(first: "${SECRET}") { nodes { id } } }`],
  ['a page beyond the limit', '{ teams(first: 1000000) { nodes { id } } }'],
  ['a variable of another type', 'query ($n: Int) { teams(first: $n) { nodes { id } } }', { n: SECRET }],
  [
    'an object for a string',
    'mutation ($i: CreateTeamInput!) { createTeam(input: $i) { userErrors { code } } }',
    { i: { name: { x: SECRET } } },
  ],
  [
    'an unknown input field',
    'mutation ($i: CreateTeamInput!) { createTeam(input: $i) { userErrors { code } } }',
    { i: { name: 'x', [`field`]: SECRET } },
  ],
  ['a NUL in a text', `{ deployment(by: { path: "a/b/\\u0000${SECRET}" }) { id } }`],
  [
    'a NUL in a variable',
    'mutation ($i: CreateTeamInput!, $k: String) { createTeam(input: $i, idempotencyKey: $k) { userErrors { code } } }',
    { i: { name: 'x' }, k: `\0${SECRET}` },
  ],
  [
    'half a character in a variable',
    'query ($t: String) { events(filter: { project: $t }) { cursor } }',
    { t: `${SECRET}\ud800` },
  ],
  ['both fields of a one-of', `{ team(by: { id: "${SECRET}", path: "${SECRET}" }) { id } }`],
  [
    'an unknown enum value',
    `mutation { createPrincipal(input: { name: "x", grants: [{ role: ${SECRET.replaceAll('-', '_')} }] }) { userErrors { code } } }`,
  ],
  ['directives without end on one field', `{ viewer ${'@include(if: true) '.repeat(100)}{ actions } }`],
  ['directives that nobody knows', `{ viewer ${'@unknown '.repeat(50)}{ actions } }`],
  ['the schema asked through itself', `{ __schema { types { ${'fields { type { '.repeat(6)}name${' } }'.repeat(6)} } } }`],
  [
    'the schema asked again and again',
    `{ ${Array.from({ length: 16 }, (_, i) => `a${i}: __schema { types { name } }`).join(' ')} }`,
  ],
  ['a literal nested without end', `{ teams(first: ${'['.repeat(400)}1${']'.repeat(400)}) { nodes { id } } }`],
  ['more ids than allowed', 'query ($i: [ID!]!) { nodes(ids: $i) { id } }', { i: Array.from({ length: 101 }, () => SECRET) }],
  [
    'many pages of many things by their ids',
    'query ($i: [ID!]!) { nodes(ids: $i) { ... on Model { versions(first: 100) { nodes { model { id } } } } } }',
    { i: Array.from({ length: 100 }, () => SECRET) },
  ],
  ['operations without end', Array.from({ length: 200 }, (_, i) => `query q${i} { viewer { actions } }`).join(' ')],
  ['a subscription where none can be', 'subscription { events { __typename } }'],
  ['an unknown operation name is needed', 'query a { viewer { actions } } query b { viewer { actions } }'],
];

describe('Malformed and hostile documents', () => {
  for (const [name, query, variables] of HOSTILE) {
    test(`${name}: refused with 4xx, no stack, no value`, async () => {
      const answer = await api.gql(query, variables ? { variables } : {});
      // A refusal while resolving leaves the document itself accepted.
      const whileRunning = answer.status === 200 && answer.errors?.[0]?.extensions.code === 'BAD_USER_INPUT';
      expect(whileRunning || (answer.status >= 400 && answer.status < 500), `${answer.status} ${answer.text}`).toBe(true);
      expect(answer.text).not.toContain(SECRET);
      expect(answer.text).not.toContain(SECRET.replaceAll('-', '_'));
      expect(answer.text).not.toMatch(/stack|node_modules|\.ts:\d/);
      expect(answer.errors?.every(({ extensions }) => extensions.requestId === answer.headers.get('purser-request-id'))).toBe(
        true,
      );
    });
  }

  test('variables nested as deep as a body can carry are refused', async () => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${api.adminToken}` };
    const nested = `${'['.repeat(30_000)}"${SECRET}"${']'.repeat(30_000)}`;
    for (const type of ['[ID!]!', '[[[[ID]]]]', 'EventFilter', 'JSON', 'Int']) {
      const body = `{"query":"query ($i: ${type}) { nodes(ids: $i) { id } }","variables":{"i":${nested}}}`;
      const response = await fetch(`${api.url}/graphql`, { method: 'POST', headers, body });
      const text = await response.text();
      expect(response.status, `${type}: ${text.slice(0, 300)}`).toBe(400);
      expect(text).not.toContain(SECRET);
    }
  });

  test('a batch of operations is refused as a whole', async () => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${api.adminToken}` };
    const one = { query: `{ team(by: { path: "${SECRET}" }) { id } }` };
    const response = await fetch(`${api.url}/graphql`, { method: 'POST', headers, body: JSON.stringify([one, one]) });
    const text = await response.text();
    expect(response.status, text).toBe(400);
    expect(text).not.toContain(SECRET);
    expect(text).not.toMatch(/stack|node_modules|\.ts:\d/);
  });

  test('a mutation by GET is refused', async () => {
    const query = encodeURIComponent('mutation { createTeam(input: { name: "by-get" }) { userErrors { code } } }');
    const headers = { authorization: `Bearer ${api.adminToken}`, 'apollo-require-preflight': 'true' };
    for (const path of ['/graphql', '/graphql/stream']) {
      const response = await fetch(`${api.url}${path}?query=${query}`, {
        headers: { ...headers, accept: 'application/json, text/event-stream' },
      });
      expect([400, 404, 405], path).toContain(response.status);
    }
    expect((await api.gql('{ team(by: { path: "by-get" }) { id } }')).data).toEqual({ team: null });
  });

  test('limits hold for clients that ask for plain JSON too', async () => {
    const answer = await api.gql(`{ ${fields(16)} }`, { accept: 'application/json' });
    expect(answer.status).toBe(400);
    expect(answer.errors?.[0]?.extensions.code).toBe('LIMIT_EXCEEDED');
  });

  test('a megabyte is refused with 413, plain and compressed', async () => {
    const body = JSON.stringify({ query: `{ viewer { actions } } # ${'x'.repeat(1_000_000)}` });
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${api.adminToken}` };
    const plain = await fetch(`${api.url}/graphql`, { method: 'POST', headers, body });
    const packed = await fetch(`${api.url}/graphql`, {
      method: 'POST',
      headers: { ...headers, 'content-encoding': 'gzip' },
      body: gzipSync(body),
    });
    expect([plain.status, packed.status]).toEqual([413, 413]);
    expect(await plain.text()).not.toContain('xxxx');
  });

  test('a body that is no JSON is refused with 400', async () => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${api.adminToken}` };
    const response = await fetch(`${api.url}/graphql`, { method: 'POST', headers, body: `{"query": "${SECRET}` });
    expect(response.status).toBe(400);
    expect(await response.text()).not.toContain(SECRET);
  });

  test('an anonymous request is refused before it is read', async () => {
    const response = await fetch(`${api.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{ not json',
    });
    expect(response.status).toBe(401);
    for (const token of ['', 'nonsense', `psr_user_${'a'.repeat(50)}`]) {
      const answer = await api.gql('{ viewer { actions } }', { token });
      expect(answer.status, answer.text).toBe(401);
      expect(answer.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    }
  });

  test('a stranger whose body comes late is answered again and again, one whose body never ends is cut', async () => {
    const { port, host } = new URL(api.url);
    const head = `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: `;
    const open = connect(Number(port), '127.0.0.1');
    let text = '';
    open.on('data', (chunk) => (text += chunk.toString()));
    const closed = once(open, 'close');
    const started = performance.now();
    for (let n = 1; performance.now() - started < 1_500; n += 1) {
      open.write(`${head}2\r\n\r\n`);
      await eventually(() => text.split('UNAUTHENTICATED').length === n + 1);
      open.write('{}');
    }
    expect(open.closed).toBe(false);
    open.write(`${head}100000\r\n\r\n{`);
    await closed;
    expect(text.endsWith('}')).toBe(true);
  });

  test('introspection is for authenticated callers', async () => {
    expect((await api.gql(getIntrospectionQuery(), { token: null })).status).toBe(401);
    const answer = await api.gql<{ __schema: { queryType: { name: string } } }>(getIntrospectionQuery());
    expect(answer.status).toBe(200);
    expect(answer.data?.__schema.queryType.name).toBe('Query');
  });
});

describe('Points per token', () => {
  test('an answer says what it cost and what is left', async () => {
    const { extensions } = await api.gql('{ teams(first: 50) { nodes { id } } }');
    expect(extensions?.cost.requestedQueryCost).toBeGreaterThan(50);
    expect(extensions?.cost.actualQueryCost).toBeLessThan(50);
    expect(extensions?.cost.throttleStatus).toMatchObject({ maximumAvailable: 10_000, restoreRate: 500 });
    expect(extensions?.cost.throttleStatus.currentlyAvailable).toBeLessThanOrEqual(10_000);
  });

  test('a caller who spends faster than points come back is throttled and told how long; others are not', async () => {
    const greedy = await api.tokenFor('viewer', 'greedy');
    // Points are taken before an operation and given back after it: many dear ones at once run dry.
    const dear = '{ teams(first: 80) { nodes { projects(first: 80) { nodes { id } } } } }';
    const asks = Array.from({ length: 12 }, () => api.gql(dear, { token: greedy.token }));
    const answers = await Promise.all(asks);
    const throttled = answers.filter(({ errors }) => errors?.[0]?.extensions.code === 'THROTTLED');
    expect(throttled.length).toBeGreaterThan(0);
    expect(throttled[0]?.status).toBe(429);
    expect(throttled[0]?.errors?.[0]?.extensions.retryAfterMs).toBeGreaterThan(0);
    expect((await api.gql('{ viewer { actions } }')).status).toBe(200);
  });
});
