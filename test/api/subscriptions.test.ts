// Follows events over a socket and over server-sent events on a test database: live, by team, cut when the token is revoked.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { RECHECK_MS } from '../../src/api/authenticate.ts';
import { MAX_SOCKETS_PER_TOKEN, MAX_STREAMS_PER_TOKEN } from '../../src/api/slots.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const EVENTS =
  'subscription ($after: EventCursor, $last: Int) { events(after: $after, last: $last) { __typename ... on Event { cursor type message } ... on Heartbeat { cursor } ... on Gap { cursor reason } } }';

interface Seen {
  readonly __typename: string;
  readonly cursor: string;
  readonly type?: string;
  readonly message?: string;
}

function follow(token: string, variables: object = {}, onClosed?: (code: number) => void) {
  const seen: Seen[] = [];
  const client = api.socket(token, onClosed ? { onClosed } : {});
  const state: { error: unknown } = { error: null };
  client.subscribe<{ events: Seen }>(
    { query: EVENTS, variables: { ...variables } },
    { next: ({ data }) => data && seen.push(data.events), error: (error) => (state.error = error), complete: () => undefined },
  );
  return { seen, state, client };
}

const createTeam = (name: string) =>
  api.gql('mutation ($name: String!) { createTeam(input: { name: $name }) { team { id } userErrors { code } } }', {
    variables: { name },
  });
const eventsOf = (seen: readonly Seen[]) => seen.filter(({ __typename }) => __typename === 'Event');

describe('Events over graphql-transport-ws', () => {
  test('a heartbeat first, then what happens', async () => {
    const { seen, client } = follow(api.adminToken);
    await eventually(() => seen.length > 0);
    expect(seen[0]?.__typename).toBe('Heartbeat');
    await createTeam('live');
    await eventually(() => eventsOf(seen).some(({ message }) => message?.includes('live')));
    await client.dispose();
  });

  test('resuming behind a cursor delivers what was missed, once', async () => {
    const first = follow(api.adminToken);
    await eventually(() => first.seen.length > 0);
    const after = first.seen[0]!.cursor;
    await first.client.dispose();
    await createTeam('missed-one');
    await createTeam('missed-two');
    const second = follow(api.adminToken, { after });
    await eventually(() => eventsOf(second.seen).length >= 2);
    const messages = eventsOf(second.seen).map(({ message }) => message ?? '');
    expect(messages.filter((message) => /missed-/.test(message))).toHaveLength(2);
    await second.client.dispose();
  });

  test('`last` begins with the newest', async () => {
    await createTeam('newest');
    await eventually(async () => (await api.gql('{ events(last: 1) { events { message } } }')).text.includes('newest'));
    const { seen, client } = follow(api.adminToken, { last: 1 });
    await eventually(() => eventsOf(seen).length >= 1);
    expect(eventsOf(seen)[0]?.message).toContain('newest');
    await client.dispose();
    // Who comes back with the same variables and a cursor goes on there.
    const again = follow(api.adminToken, { last: 100, after: eventsOf(seen)[0]?.cursor });
    await eventually(() => again.seen.length > 0);
    await createTeam('after-the-newest');
    await eventually(() => eventsOf(again.seen).length > 0);
    expect(eventsOf(again.seen).map(({ message }) => message)).toEqual(['Team after-the-newest was created.']);
    await again.client.dispose();
  });

  test('another team sees nothing of it', async () => {
    const blue = await api.tokenFor('viewer', 'blue');
    const red = await api.tokenFor('team_admin', 'red');
    const watching = follow(blue.token);
    const own = follow(red.token);
    await eventually(() => watching.seen.length > 0 && own.seen.length > 0);
    await api.gql('mutation { createProject(input: { team: { path: "red" }, name: "secret-plan" }) { userErrors { code } } }');
    await eventually(() => eventsOf(own.seen).some(({ message }) => message?.includes('secret-plan')));
    await api.gql('mutation { createProject(input: { team: { path: "blue" }, name: "own-plan" }) { userErrors { code } } }');
    await eventually(() => eventsOf(watching.seen).some(({ message }) => message?.includes('own-plan')));
    expect(JSON.stringify(watching.seen)).not.toContain('secret-plan');
    await watching.client.dispose();
    await own.client.dispose();
  });

  test('a revoked token is cut within a second', async () => {
    const doomed = await api.tokenFor('viewer', 'doomed');
    expect(RECHECK_MS).toBeLessThanOrEqual(500);
    const codes: number[] = [];
    const { seen } = follow(doomed.token, {}, (code) => codes.push(code));
    await eventually(() => seen.length > 0);
    await api.gql('mutation ($id: ID!) { revokeToken(input: { token: $id }) { userErrors { code } } }', {
      variables: { id: doomed.id },
    });
    await eventually(() => codes.includes(4401), 3_000);
  });

  test('an unknown token is not let in', async () => {
    const codes: number[] = [];
    const { state, seen } = follow('nobody', {}, (code) => codes.push(code));
    await eventually(() => codes.length > 0 || state.error !== null);
    expect(seen).toEqual([]);
  });

  test('a page of another site cannot open a socket, and a large message closes it', async () => {
    const foreign = new WebSocket(`${api.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      origin: 'https://elsewhere.example',
    });
    const status = await new Promise((resolve) => {
      foreign.once('unexpected-response', (_request, response) => resolve(response.statusCode));
      foreign.once('error', () => undefined);
    });
    expect(status).toBe(403);
    const flood = new WebSocket(`${api.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    const code = new Promise((resolve) => flood.once('close', resolve));
    flood.once('open', () => flood.send('x'.repeat(100_000)));
    expect(await code).toBe(1009);
  });

  test('what is no cursor is refused with its reason, and the socket stays open', async () => {
    const client = api.socket(api.adminToken);
    const ask = (query: string) =>
      new Promise<string>((resolve) => {
        const told = (answer: unknown) => resolve(JSON.stringify(answer));
        client.subscribe({ query }, { next: told, error: told, complete: () => undefined });
      });
    expect(await ask('subscription { events(after: "CURSOR") { __typename } }')).toContain('BAD_USER_INPUT');
    expect(await ask('{ __typename }')).toContain('Query');
    await client.dispose();
  });

  test('limits hold on the socket too', async () => {
    const client = api.socket(api.adminToken);
    const aliases = Array.from({ length: 16 }, (_, i) => `a${i}: __typename`).join(' ');
    const errors = await new Promise<unknown>((resolve) =>
      client.subscribe({ query: `{ ${aliases} }` }, { next: resolve, error: resolve, complete: () => undefined }),
    );
    expect(JSON.stringify(errors)).toContain('LIMIT_EXCEEDED');
    await client.dispose();
  });
});

describe('Events over server-sent events', () => {
  const stream = (token: string, query: string, signal?: AbortSignal) =>
    fetch(`${api.url}/graphql/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query }),
      ...(signal ? { signal } : {}),
    });

  test('streams what happens, also for a plain GET', async () => {
    const stop = new AbortController();
    const query = encodeURIComponent('subscription { events { __typename ... on Event { message } } }');
    const response = await fetch(`${api.url}/graphql/stream?query=${query}`, {
      headers: { accept: 'text/event-stream', authorization: `Bearer ${api.adminToken}` },
      signal: stop.signal,
    });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    let text = '';
    const reading = (async () => {
      for await (const chunk of response.body!) text += Buffer.from(chunk).toString();
    })().catch(() => undefined);
    await eventually(() => text.includes('Heartbeat'));
    await createTeam('streamed');
    await eventually(() => text.includes('streamed'));
    stop.abort();
    await reading;
  });

  test('streams to a caller that takes anything, as curl does', async () => {
    const stop = new AbortController();
    const response = await fetch(`${api.url}/graphql/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: '*/*', authorization: `Bearer ${api.adminToken}` },
      body: JSON.stringify({ query: 'subscription { events { __typename } }' }),
      signal: stop.signal,
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    stop.abort();
  });

  test('a refused document is a 4xx, an anonymous one a 401', async () => {
    expect((await stream(api.adminToken, '{ nonsense ')).status).toBe(400);
    expect((await stream('nobody', 'subscription { events { __typename } }')).status).toBe(401);
  });

  test('what is no cursor is refused with its reason, and so are too many events', async () => {
    for (const args of ['after: "CURSOR"', 'last: 1000']) {
      const text = await (await stream(api.adminToken, `subscription { events(${args}) { __typename } }`)).text();
      expect(text).toContain('BAD_USER_INPUT');
      expect(text).toContain('event: complete');
    }
  });

  test('a revoked token is cut', async () => {
    const doomed = await api.tokenFor('viewer', 'doomed-stream');
    const response = await stream(doomed.token, 'subscription { events { __typename } }');
    await api.gql('mutation ($id: ID!) { revokeToken(input: { token: $id }) { userErrors { code } } }', {
      variables: { id: doomed.id },
    });
    let ended = false;
    const reading = (async () => {
      for await (const _chunk of response.body!);
    })()
      .catch(() => undefined)
      .then(() => (ended = true));
    await eventually(() => ended, 3_000);
    await reading;
  });
});

describe('Events: one token holds so many connections and no more', () => {
  const STREAM = 'subscription { events { __typename } }';
  const openStream = (token: string, stop: AbortController) =>
    fetch(`${api.url}/graphql/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: STREAM }),
      signal: stop.signal,
    });

  /** Subscribes once more on a socket; resolves with the first thing that comes back. */
  const subscribeOn = (client: ReturnType<TestApi['socket']>) =>
    new Promise<string>((resolve) => {
      const tell = (value: unknown) => resolve(JSON.stringify(value));
      client.subscribe({ query: STREAM }, { next: tell, error: tell, complete: () => undefined });
    });

  test('streams of both transports count together, another token is not touched, and what has ended counts no more', async () => {
    const { token } = await api.tokenFor('viewer', 'greedy');
    const sockets = Array.from({ length: 3 }, () => api.socket(token));
    for (const socket of sockets) await Promise.all(Array.from({ length: 50 }, () => subscribeOn(socket)));
    const stop = new AbortController();
    const streams = await Promise.all(Array.from({ length: MAX_STREAMS_PER_TOKEN - 150 }, () => openStream(token, stop)));
    expect(new Set(streams.map(({ status }) => status))).toEqual(new Set([200]));
    const refusedStream = await openStream(token, new AbortController());
    expect(refusedStream.status).toBe(429);
    expect(await refusedStream.text()).toContain('LIMIT_EXCEEDED');
    const another = api.socket(token);
    expect(await subscribeOn(another)).toContain('LIMIT_EXCEEDED');
    const other = api.socket((await api.tokenFor('viewer', 'modest')).token);
    expect(await subscribeOn(other)).toContain('Heartbeat');
    await sockets[0]!.dispose();
    await eventually(async () => (await subscribeOn(another)).includes('Heartbeat'));
    stop.abort();
    const last = new AbortController();
    await eventually(async () => (await openStream(token, last)).status === 200);
    last.abort();
    for (const socket of [...sockets, another, other]) await socket.dispose();
  });

  test('sockets are bounded too: one more is told to come back later, and may when another has gone', async () => {
    const { token } = await api.tokenFor('viewer', 'many-sockets');
    const sockets = Array.from({ length: MAX_SOCKETS_PER_TOKEN }, () => api.socket(token));
    await Promise.all(sockets.map(subscribeOn));
    const codes: number[] = [];
    const more = () => api.socket(token, { onClosed: (code) => codes.push(code) });
    await subscribeOn(more());
    expect(codes).toEqual([1_013]);
    await sockets[0]!.dispose();
    const late = more();
    await eventually(async () => (await subscribeOn(late)).includes('Heartbeat'));
    for (const socket of [...sockets, late]) await socket.dispose();
  });
});
