// The router link over real HTTP: streams, tokens, limits; the table and the book of usage are plain lists.
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RouterLink } from '../../src/api/router-link.ts';
import type { Principal, PrincipalKind } from '../../src/kernel/principal.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import type { RouteTable } from '../../src/traffic/router-contract/route-table.ts';
import type { UsageReport } from '../../src/traffic/router-contract/usage-report.ts';
import { eventually } from '../support/eventually.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import { deployment, id, replica, revision, table } from '../support/routed.ts';

const principal = (kind: PrincipalKind, name: string): Principal => ({
  id: id(),
  kind,
  name,
  grants: [],
  platformActions: [],
  tokenId: null,
});
const principals: Record<string, Principal> = { good: principal('router', 'edge'), other: principal('service_account', 'edge') };

let answerFor: (token: string) => Promise<Principal | null>;
let current: RouteTable | null;
let booked: UsageReport[];
let accept: () => Promise<void>;
let joined: string[];
let listeners: Set<() => void>;
let link: RouterLink;
let url: string;
const known = replica('127.0.0.1:1');

beforeEach(async () => {
  current = table(1, [deployment('a/b/c', [revision([known])])]);
  answerFor = (token) => Promise.resolve(principals[token] ?? null);
  booked = [];
  accept = () => Promise.resolve();
  joined = [];
  listeners = new Set();
  link = new RouterLink({
    authenticate: (token) => answerFor(token),
    tables: {
      current: () => current,
      changed: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    usage: {
      joined: ({ name }) => Promise.resolve(void joined.push(name)),
      accept: async (report) => {
        await accept();
        const repeated = booked.some((one) => one.sequence === report.sequence);
        if (!repeated) booked.push(report);
        return { accepted: true, repeated, refusedRows: 0 };
      },
    },
    registry: makeMetricRegistry(),
    logger: quietLogger,
    tls: null,
  });
  url = `http://127.0.0.1:${await link.listen('127.0.0.1', 0)}`;
});
afterEach(() => link.close());

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function* tables(signal: AbortSignal, token = 'good', more = {}): AsyncGenerator<RouteTable> {
  const answer = await fetch(`${url}/link/v1/table`, { headers: { ...bearer(token), ...more }, signal });
  let text = '';
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    const events = (text + chunk).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) if (event.startsWith('event: table')) yield JSON.parse(event.split('data: ')[1]!) as RouteTable;
  }
}

const row = (replicaId: string) => ({
  replicaId,
  minute: 60_000,
  callerTeamId: id(),
  caller: id(),
  kind: 'inference',
  experiment: '',
  busyUs: 1,
  attempts: 1,
  requests: 1,
  errors: 0,
  bytesIn: 0,
  bytesOut: 0,
  inputTokens: 0,
  outputTokens: 0,
  stampedPicoUsd: '1',
});
const report = (more: object = {}) => ({
  source: `edge/${id()}`,
  sequence: 1,
  through: 60_000,
  tableVersion: { epoch: 'e', n: 1 },
  rows: [row(known.replicaId)],
  ...more,
});
const send = (body: unknown, token = 'good', more = {}) =>
  fetch(`${url}/link/v1/reports`, {
    method: 'POST',
    headers: { ...bearer(token), ...more },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

function change(n: number): void {
  current = table(n, []);
  for (const listener of listeners) listener();
}

/** Makes the link remember that the replica was sent. */
async function beSent(): Promise<void> {
  const abort = new AbortController();
  await tables(abort.signal).next();
  abort.abort();
}

describe('Router link: tables', () => {
  it('sends the whole table at connect, and one for many changes at once', async () => {
    const abort = new AbortController();
    const stream = tables(abort.signal);
    expect((await stream.next()).value).toEqual(current);
    for (let n = 2; n <= 50; n += 1) change(n);
    expect(((await stream.next()).value as RouteTable).version.n).toBe(50);
    abort.abort();
  });

  it('sends a single change without waiting for others, and those that follow closely together', async () => {
    const abort = new AbortController();
    const stream = tables(abort.signal);
    await stream.next();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      change(2);
      expect(((await stream.next()).value as RouteTable).version.n).toBe(2);
      change(3);
      change(4);
      const next = stream.next();
      vi.advanceTimersToNextTimer();
      expect(((await next).value as RouteTable).version.n).toBe(4);
    } finally {
      vi.useRealTimers();
      abort.abort();
    }
  });

  it('ends when the token of the router is revoked, and goes on while nobody can tell', async () => {
    let revoked = false;
    let asked = 0;
    const abort = new AbortController();
    principals['doomed'] = principal('router', 'doomed');
    answerFor = (token) => {
      asked += 1;
      if (token === 'doomed' && asked === 2) return Promise.reject(new Error('the database is away'));
      return Promise.resolve(revoked ? null : (principals[token] ?? null));
    };
    const stream = tables(abort.signal, 'doomed');
    await stream.next();
    await eventually(() => asked > 2);
    change(2);
    expect(((await stream.next()).value as RouteTable).version.n).toBe(2);
    revoked = true;
    await expect(stream.next()).rejects.toThrow('terminated');
  });

  it.each(['/link/v1/table', '/link/v1/reports'])('%s is for routers only', async (path) => {
    const method = path.endsWith('reports') ? 'POST' : 'GET';
    for (const headers of [{}, bearer('nobody'), bearer('other')])
      expect((await fetch(url + path, { method, headers })).status).toBe(401);
  });
});

describe('Router link: reports', () => {
  it('counts once and answers repeats alike', async () => {
    await beSent();
    expect(await (await send(report())).json()).toEqual({ accepted: true, repeated: false, refusedRows: 0 });
    expect(await (await send(report())).json()).toEqual({ accepted: true, repeated: true, refusedRows: 0 });
    expect(booked).toHaveLength(1);
  });

  it('refuses rows of replicas that this router was never sent', async () => {
    await beSent();
    const answer = await send(report({ rows: [row(known.replicaId), row(id())] }));
    expect(await answer.json()).toMatchObject({ refusedRows: 1 });
    expect(booked[0]!.rows.map((one) => one.replicaId)).toEqual([known.replicaId]);
  });

  it.each([
    ['no JSON', '{', 400],
    ['another name', report({ source: `else/${id()}` }), 403],
    ['a source without an incarnation', report({ source: 'edge' }), 400],
    ['sequence 0', report({ sequence: 0 }), 400],
    ['a negative count', report({ rows: [{ ...row(id()), busyUs: -1 }] }), 400],
    ['a fraction', report({ rows: [{ ...row(id()), requests: 0.5 }] }), 400],
    ['a minute that is none', report({ rows: [{ ...row(id()), minute: 61_000 }] }), 400],
    ['an unknown kind', report({ rows: [{ ...row(id()), kind: 'gift' }] }), 400],
    ['more than a mebibyte', JSON.stringify(report({ padding: 'x'.repeat(1024 * 1024) })), 413],
  ])('refuses %s', async (_, body, status) => {
    expect((await send(body)).status).toBe(status);
    expect(booked).toEqual([]);
  });
});

describe('Router link: routers that share a token', () => {
  const named = (name: string) => ({ 'purser-router': name });

  it('go by names that go on after a dash: each joins and reports as itself', async () => {
    const abort = new AbortController();
    for (const name of ['edge-pod-1', 'edge-pod-2']) await tables(abort.signal, 'good', named(name)).next();
    abort.abort();
    expect(joined).toEqual(['edge-pod-1', 'edge-pod-2']);
    const own = report({ source: `edge-pod-1/${id()}` });
    expect(await (await send(own, 'good', named('edge-pod-1'))).json()).toMatchObject({ accepted: true, refusedRows: 0 });
    expect((await send(report({ source: `edge-pod-2/${id()}` }), 'good', named('edge-pod-1'))).status).toBe(403);
    expect((await send(report({ source: `edge-pod-1/${id()}` }))).status).toBe(403);
    expect(booked).toHaveLength(1);
  });

  it.each(['other', 'edgeless-1', 'edge.1', 'edge-a/b', `edge-${'x'.repeat(100)}`, ''])(
    'go by no other name: %j',
    async (name) => {
      expect((await send(report(), 'good', named(name))).status).toBe(401);
      expect(joined).toEqual([]);
    },
  );
});

describe('Router link: what is no report', () => {
  it('quantities that would spoil the sums of others are refused, each by its name', async () => {
    await beSent();
    const odd: readonly (readonly [string, unknown])[] = [
      ['busyUs', Number.MAX_SAFE_INTEGER],
      ['requests', -1],
      ['bytesOut', 1.5],
      ['stampedPicoUsd', '9'.repeat(38)],
      ['experiment', 'x'.repeat(100_000)],
      ['experiment', 'half \ud800'],
    ];
    for (const [field, value] of odd) {
      const answer = await send(report({ rows: [{ ...row(known.replicaId), [field]: value }] }));
      expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([
        400,
        expect.stringContaining(`rows[0].${field} must`),
      ]);
    }
    expect(booked).toEqual([]);
  });

  it('a target that is no path is refused before anything is asked', async () => {
    for (const target of ['//', 'http://[', '/link/v1/table/..', '*']) {
      const status = await new Promise((resolve, reject) => {
        const { port } = new URL(url);
        const asked = request({ port, path: target, host: '127.0.0.1', method: 'OPTIONS' }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        asked.once('error', reject).end();
      });
      expect([target, status]).toEqual([target, 401]);
    }
  });
});

describe('Router link: its end', () => {
  it('waits for no router that keeps its connection: a report that runs is answered, a table is to be asked for elsewhere', async () => {
    const accepting = new AbortController();
    const mayAccept = new AbortController();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (method: string, path: string, body = '') =>
      new Promise<IncomingMessage>((resolve, reject) => {
        const options = { method, agent, headers: { ...bearer('good'), 'content-type': 'application/json' } };
        request(`${url}${path}`, options, (answer) => resolve(answer.resume()))
          .once('error', reject)
          .end(body);
      });
    accept = async () => {
      accepting.abort();
      await once(mayAccept.signal, 'abort');
    };
    const accepted = once(accepting.signal, 'abort');
    const reported = ask('POST', '/link/v1/reports', JSON.stringify(report()));
    await accepted;
    const closed = link.close();
    // On the connection that the report keeps, as a router that asks for its next table does.
    const table = ask('GET', '/link/v1/table');
    mayAccept.abort();
    expect((await reported).statusCode).toBe(200);
    expect((await table).statusCode).toBe(503);
    await closed;
  });
});

describe('Router link: metrics', () => {
  it('are readable on loopback', async () => {
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('process_cpu');
  });
});
