// The API over a database that nobody listens for: what callers are told, and what the client makes of it.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { PurserClient } from '../../clients/typescript/purser-client.ts';
import { PurserUnavailable } from '../../clients/typescript/errors.ts';
import { isOutage } from '../../src/api/problem.ts';
import { newToken } from '../../src/kernel/token.ts';
import { compose } from '../../src/main/compose.ts';
import { readConfig } from '../../src/main/config.ts';
import { systemClock, systemRandom } from '../../src/main/system-clock.ts';
import { Database } from '../../src/persistence/database.ts';
import { socketUrl } from '../../src/persistence/postgres-server.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase } from '../support/database.ts';
import { quietLogger } from '../support/quiet-logger.ts';

let folder: string;
let database: Database;
let api: ReturnType<typeof compose>['api'];
let url: string;
const token = newToken('user', systemRandom);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'purser-away-'));
  database = await Database.connect({ url: socketUrl(folder, 'purser_app', 'purser') });
  const config = readConfig({ PURSER_DATA_DIR: folder }, folder);
  ({ api } = compose({ config, database, secret: 'x', clock: systemClock, random: systemRandom, logger: quietLogger }));
  url = `http://127.0.0.1:${await api.listen('127.0.0.1', 0)}`;
});
afterAll(async () => {
  await api.close();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

describe('API: the database is away', () => {
  test.each([
    ['POST', '/graphql'],
    ['POST', '/graphql/stream'],
    ['HEAD', `/projects/acme/demo/artifacts/sha256:${'0'.repeat(64)}`],
  ])('%s %s is an outage that may be repeated, not a bug', async (method, path) => {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(method === 'POST' ? { body: '{"query":"{ __typename }"}' } : {}),
    });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    const text = await response.text();
    if (method === 'POST')
      expect(JSON.parse(text)).toMatchObject({ errors: [{ extensions: { code: 'UNAVAILABLE', retryAfterMs: 1000 } }] });
  });

  test('a change whose connection dies half-way is an outage at this statement and at all that follow', async () => {
    const db = await openTestDatabase();
    const errors: unknown[] = [];
    const died = db.database.write({ kind: 'reconciler', loop: 'test' }, async (tx) => {
      for (const statement of ['select pg_terminate_backend(pg_backend_pid())', 'select 1', 'select 2']) {
        await sqlOf(tx)
          .query(statement)
          .catch((error: unknown) => errors.push(error));
      }
    });
    await died.catch((error: unknown) => errors.push(error));
    await db.close();
    expect(errors.map((error) => [String(error), isOutage(error)])).toEqual(errors.map((error) => [String(error), true]));
    expect(errors.length).toBeGreaterThanOrEqual(3);
  });

  test('a socket is closed with the request to come back, and learns nothing of what is inside', async () => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    const closed = once(socket, 'close') as Promise<[number, Buffer]>;
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
    const [code, reason] = await closed;
    expect(code).toBe(1013);
    expect(reason.toString()).not.toContain(folder);
  });

  test('the client takes it for an outage and goes on trying', async () => {
    const client = new PurserClient({ url, token });
    await expect(client.request('{ __typename }', {})).rejects.toBeInstanceOf(PurserUnavailable);
    const stop = new AbortController();
    const broken: string[] = [];
    const following = client.follow(
      'subscription { events { __typename } }',
      {},
      {
        cursorOf: () => '',
        signal: stop.signal,
        onBreak: ({ message }) => {
          broken.push(message);
          if (broken.length === 2) stop.abort();
        },
      },
    );
    for await (const _item of following);
    expect(broken).toHaveLength(2);
  });
});
