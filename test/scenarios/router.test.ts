// A real router on a real link, with small real servers as replicas; only the book of reports is a list in memory.
import { parseUsd } from '../../src/kernel/money.ts';
import { writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import {
  TestControlPlane,
  bearer,
  dataFolder,
  deployment,
  replica,
  revision,
  startRouter,
  table,
  upstream,
} from '../support/routed.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Handler = Parameters<typeof upstream>[0];

async function serve(handler: Handler) {
  const one = await upstream(handler);
  closers.push(() => (one.server.closeAllConnections(), one.server.close()));
  return one;
}

async function routed(deployments: ReturnType<typeof deployment>[]) {
  const plane = new TestControlPlane();
  await plane.start();
  plane.set(table(1, deployments));
  const folder = dataFolder();
  const { router, url } = await startRouter(folder, plane.port);
  await eventually(async () => (await fetch(`${url}/-/readyz`)).status === 200);
  let drained = false;
  const drain = async () => {
    if (drained) return;
    drained = true;
    await router.drain();
  };
  closers.push(() => plane.stop(), drain);
  return { plane, url, drain, folder };
}

const echo: Handler = (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    response.setHeader('x-seen', JSON.stringify({ method: request.method, url: request.url, headers: request.headers }));
    response.setHeader('content-length', body.length);
    response.end(body);
  });
};

describe('Router: passes a request through untouched', () => {
  it('keeps method, path below, query, allowed headers and bytes; drops the credential and Purser headers; stamps the answer', async () => {
    const { address } = await serve(echo);
    const { url, plane, drain } = await routed([deployment('a/b/c', [revision([replica(address)])])]);
    const body = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 256));
    const answer = await fetch(`${url}/a/b/c/v2/x%2Fy?q=%20`, {
      method: 'PUT',
      body,
      headers: { ...bearer, 'x-mine': '1', 'purser-cost': '9', cookie: 's=1' },
    });
    expect(answer.status).toBe(200);
    expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
    const seen = JSON.parse(answer.headers.get('x-seen')!) as { method: string; url: string; headers: Record<string, string> };
    expect(seen).toMatchObject({ method: 'PUT', url: '/v2/x%2Fy?q=%20', headers: { 'x-mine': '1' } });
    expect(Object.keys(seen.headers)).not.toEqual(expect.arrayContaining(['authorization']));
    expect(seen.headers).not.toHaveProperty('purser-cost');
    expect(seen.headers).not.toHaveProperty('cookie');
    expect(answer.headers.get('purser-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.headers.get('purser-revision')).toBe('1');
    expect(parseUsd(answer.headers.get('purser-cost')!)).toBeGreaterThan(0n);
    await drain();
    expect(plane.sum('requests')).toBe(1);
  });
});

describe('Router: absent, forbidden and unauthenticated', () => {
  it('answers 401 without a valid credential, 404 alike for absent, 400 for an encoded slash', async () => {
    const { address } = await serve(echo);
    const { url } = await routed([deployment('a/b/c', [revision([replica(address)])])]);
    expect((await fetch(`${url}/a/b/c/`)).status).toBe(401);
    expect((await fetch(`${url}/a/b/nope/`, { headers: bearer })).status).toBe(404);
    expect((await fetch(`${url}/a%2fb/c/d`, { headers: bearer })).status).toBe(400);
    expect((await fetch(`${url}/a/b/c/`, { headers: { ...bearer, 'purser-deployment': 'a/b/x' } })).status).toBe(404);
  });
});

describe('Router: retry within a budget', () => {
  it('sends a request whose replica died to another one, and counts it once', async () => {
    const dying = await serve((request) => request.socket.destroy());
    const { address } = await serve(echo);
    const { url, plane, drain } = await routed([deployment('a/b/c', [revision([replica(dying.address), replica(address)])])]);
    let stamped = 0n;
    for (let i = 0; i < 40; i += 1) {
      const answer = await fetch(`${url}/a/b/c/v2`, { method: 'POST', body: 'x', headers: bearer });
      expect(await answer.text()).toBe('x');
      expect(answer.headers.get('purser-cost-final')).toBe('true');
      stamped += parseUsd(answer.headers.get('purser-cost')!)!;
    }
    await drain();
    expect(plane.sum('requests')).toBe(40);
    expect(plane.sum('attempts')).toBeGreaterThan(40);
    // The stamp is of all attempts, and what the usage rows carry.
    const rows = plane.reports.flatMap((report) => report.rows);
    expect(rows.reduce((sum, row) => sum + BigInt(row.stampedPicoUsd), 0n)).toBe(stamped);
  });
});

describe('Router: without the control plane', () => {
  it('serves on, and its metering catches up without double counting', async () => {
    const { address } = await serve(echo);
    const { url, plane, drain } = await routed([deployment('a/b/c', [revision([replica(address)])])]);
    await plane.stop();
    for (let i = 0; i < 20; i += 1) expect((await fetch(`${url}/a/b/c/`, { headers: bearer })).status).toBe(200);
    await plane.start(plane.port);
    await eventually(() => plane.sum('requests') === 20);
    await drain();
    expect(plane.sum('requests')).toBe(20);
  });
});

describe('Router: the age of its table', () => {
  it('is told, and bounded where that is wished: an old table answers 503 until the control plane is back', async () => {
    const { address } = await serve(echo);
    const plane = new TestControlPlane();
    await plane.start();
    plane.set(table(1, [deployment('a/b/c', [revision([replica(address, null)])])]));
    const { router, url } = await startRouter(dataFolder(), plane.port, { maxTableAgeMs: 300 });
    closers.push(
      () => plane.stop(),
      () => router.drain(),
    );
    const ask = () => fetch(`${url}/a/b/c/`, { headers: bearer });
    await eventually(async () => (await ask()).status === 200);
    await plane.stop();
    await eventually(async () => (await ask()).status === 503);
    const refused = await ask();
    expect([refused.headers.get('retry-after'), refused.headers.get('purser-request-id')]).toEqual(['1', expect.any(String)]);
    expect(((await (await fetch(`${url}/-/status`)).json()) as { tableAgeMs: number }).tableAgeMs).toBeGreaterThan(300);
    await plane.start(plane.port);
    const again = await eventually(async () => {
      const answer = await ask();
      return answer.status === 200 && answer;
    });
    // Nobody knows a price of this replica: no stamp is better than a stamp of zero.
    expect(again.headers.get('purser-cost')).toBeNull();
  });
});

describe('Router: bounded queue and deadline', () => {
  it('lets one wait, answers 429 with Retry-After beyond, 503 without a replica, 504 after the deadline', async () => {
    const waiting: (() => void)[] = [];
    const slow = await serve((_, response) => void waiting.push(() => response.end('done')));
    const never = await serve(() => undefined);
    const { url } = await routed([
      deployment('a/b/slow', [revision([replica(slow.address)], { concurrency: 1 })], { queueLimit: 1 }),
      deployment('a/b/none', [revision([])]),
      deployment('a/b/never', [revision([replica(never.address)])], { deadlineMs: 50 }),
    ]);
    const first = fetch(`${url}/a/b/slow/`, { headers: bearer });
    await eventually(() => waiting.length === 1);
    const rivals = [1, 2].map(() => fetch(`${url}/a/b/slow/`, { headers: bearer }));
    const full = await Promise.race(rivals);
    expect([full.status, full.headers.get('retry-after')]).toEqual([429, '1']);
    waiting.shift()!();
    expect((await first).status).toBe(200);
    await eventually(() => waiting.length === 1);
    waiting.shift()!();
    expect((await Promise.all(rivals)).map((answer) => answer.status).sort()).toEqual([200, 429]);
    const none = await fetch(`${url}/a/b/none/`, { headers: bearer });
    expect([none.status, none.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await fetch(`${url}/a/b/never/`, { headers: bearer })).status).toBe(504);
  });

  it("a caller that goes away ends the replica's work and is booked", async () => {
    let closed = false;
    const slow = await serve((_, response) => void response.once('close', () => (closed = true)));
    const { url, plane, drain } = await routed([deployment('a/b/c', [revision([replica(slow.address)])])]);
    const abort = new AbortController();
    const asked = fetch(`${url}/a/b/c/`, { headers: bearer, signal: abort.signal }).catch(() => 'gone');
    await eventually(async () => ((await (await fetch(`${url}/-/status`)).json()) as { inFlight: number }).inFlight === 1);
    abort.abort();
    expect(await asked).toBe('gone');
    await eventually(() => closed || plane.sum('attempts') === 1);
    await drain();
    expect([plane.sum('attempts'), plane.sum('requests')]).toEqual([1, 0]);
  });
});

describe('Router: streams both ways', () => {
  it('passes each piece on while the request is still being sent, and gives the final cost as a trailer', async () => {
    const { address } = await serve((request, response) => void request.pipe(response));
    const { url } = await routed([deployment('a/b/c', [revision([replica(address)])])]);
    const headers = { ...bearer, te: 'trailers', connection: 'te' };
    const outgoing = httpRequest(`${url}/a/b/c/stream`, { method: 'POST', headers });
    const seen: string[] = [];
    outgoing.write('one');
    const answer = await new Promise<import('node:http').IncomingMessage>((resolve) => outgoing.once('response', resolve));
    answer.on('data', (chunk: Buffer) => seen.push(chunk.toString()));
    await eventually(() => seen.join('') === 'one');
    outgoing.end('two');
    await new Promise((resolve) => answer.once('end', resolve));
    expect(seen.join('')).toBe('onetwo');
    expect(parseUsd(answer.trailers['purser-cost']!)).toBeGreaterThanOrEqual(parseUsd(answer.headers['purser-cost'] as string)!);
    expect(answer.headers['purser-cost-final']).toBeUndefined();
  });
});

describe('Router: revoked, expired and foreign credentials', () => {
  it('refuses a revoked token within a second, an expired one by its own clock, and answers a foreign one as if nothing were there', async () => {
    const { address } = await serve(echo);
    const rows = [deployment('a/b/c', [revision([replica(address)])])];
    const { url, plane } = await routed(rows);
    const [mine] = table(1, rows).credentials;
    const get = async (path: string) => {
      const answer = await fetch(`${url}${path}`, { headers: bearer });
      return { status: answer.status, body: await answer.text() };
    };
    plane.set(table(2, rows, { credentials: [{ ...mine!, access: { all: false, teamIds: [], projectIds: [] } }] }));
    await eventually(async () => (await get('/a/b/c/')).status === 404);
    expect(await get('/a/b/c/')).toEqual(await get('/a/b/absent/'));
    plane.set(table(3, rows, { credentials: [{ ...mine!, expiresAt: 1 }] }));
    await eventually(async () => (await get('/a/b/c/')).status === 401, 1_000);
    plane.set(table(4, rows));
    await eventually(async () => (await get('/a/b/c/')).status === 200);
    plane.set(table(5, rows, { credentials: [] }));
    await eventually(async () => (await get('/a/b/c/')).status === 401, 1_000);
  });

  it('verifies an OIDC token with the keys of the table', async () => {
    const { address } = await serve(echo);
    const rows = [deployment('a/b/c', [revision([replica(address)])])];
    const { url, plane } = await routed(rows);
    const keys = await generateKeyPair('ES256');
    const people = [
      {
        subject: 'someone',
        principalId: table(1, []).credentials[0]!.principalId,
        callerTeamId: null,
        access: { all: true, teamIds: [], projectIds: [] },
      },
    ];
    const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), alg: 'ES256' }] });
    plane.set(table(2, rows, { issuers: [{ issuer: 'https://issuer.example', audience: 'purser', jwks, people }] }));
    const token = (subject: string, audience: string, key = keys.privateKey) =>
      new SignJWT()
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer('https://issuer.example')
        .setSubject(subject)
        .setAudience(audience)
        .setExpirationTime('1m')
        .sign(key);
    const status = async (text: string) =>
      (await fetch(`${url}/a/b/c/`, { headers: { authorization: `Bearer ${text}` } })).status;
    const good = await token('someone', 'purser');
    await eventually(async () => (await status(good)) === 200);
    expect(await status(await token('nobody', 'purser'))).toBe(401);
    expect(await status(await token('someone', 'other'))).toBe(401);
    expect(await status(await token('someone', 'purser', (await generateKeyPair('ES256')).privateKey))).toBe(401);
  });
});

describe('Router: a table that loses half its deployments', () => {
  const status = async (url: string, path: string) => (await fetch(`${url}${path}`, { headers: bearer })).status;
  const isHeld = async (url: string) => /^purser_router_table_held 1$/m.test(await (await fetch(`${url}/-/metrics`)).text());

  it('is held: the router says so and serves on, a revoked token counts at once, a restart changes nothing, an operator decides', async () => {
    const { address } = await serve(echo);
    const rows = Array.from({ length: 10 }, (_, i) => deployment(`a/b/d${i}`, [revision([replica(address)])]));
    const { url, plane, folder, drain } = await routed(rows);
    plane.set(table(2, rows.slice(5)));
    await eventually(() => isHeld(url));
    const told = (await (await fetch(`${url}/-/status`)).json()) as { heldTableVersion: unknown; tableVersion: unknown };
    expect(told).toMatchObject({ heldTableVersion: { epoch: 'e', n: 2 }, tableVersion: { epoch: 'e', n: 1 } });
    for (const [i] of rows.entries()) expect(await status(url, `/a/b/d${i}/`)).toBe(200);
    plane.set(table(3, rows.slice(5), { credentials: [] }));
    await eventually(async () => (await status(url, '/a/b/d0/')) === 401, 1_000);
    plane.set(table(4, rows.slice(5)));
    await eventually(async () => (await status(url, '/a/b/d0/')) === 200);
    await drain();

    const second = await startRouter(folder, plane.port);
    closers.push(() => second.router.drain());
    await eventually(() => isHeld(second.url));
    expect(await status(second.url, '/a/b/d0/')).toBe(200);
    writeFileSync(join(folder, 'router-router', 'accept-held-table'), '');
    await eventually(async () => (await status(second.url, '/a/b/d0/')) === 404);
    expect(await status(second.url, '/a/b/d9/')).toBe(200);
    await eventually(async () => !(await isHeld(second.url)));
  });

  it('with a delete record for each it is served at once', async () => {
    const { address } = await serve(echo);
    const rows = Array.from({ length: 10 }, (_, i) => deployment(`a/b/d${i}`, [revision([replica(address)])]));
    const { url, plane } = await routed(rows);
    const deleted = rows.slice(0, 5).map(({ deploymentId }) => ({ deploymentId, at: Date.now() }));
    plane.set(table(2, rows.slice(5), { deleted }));
    await eventually(async () => (await status(url, '/a/b/d0/')) === 404);
    expect([await status(url, '/a/b/d9/'), await isHeld(url)]).toEqual([200, false]);
  });
});

describe('Router: finds the deployment by path, Host and Purser-Deployment', () => {
  it('all that are given must agree; what could be read in two ways is refused', async () => {
    const [one, two] = [await serve(echo), await serve(echo)];
    const { url } = await routed([
      deployment('a/b/one', [revision([replica(one.address)])], { hosts: ['one.example'] }),
      deployment('a/b/two', [revision([replica(two.address)], { number: 2 })]),
    ]);
    const { port } = new URL(url);
    const ask = (path: string, headers: Record<string, string> = {}) =>
      new Promise<string>((resolve, reject) => {
        const outgoing = httpRequest({ port, path, host: '127.0.0.1', headers: { ...bearer, ...headers } }, (answer) => {
          answer.resume();
          const seen = answer.headers['x-seen'] as string | undefined;
          const below = seen ? (JSON.parse(seen) as { url: string }).url : '';
          answer.once('end', () => resolve(`${answer.statusCode} ${String(answer.headers['purser-revision'] ?? '')} ${below}`));
        });
        outgoing.once('error', reject);
        outgoing.end();
      });
    expect(await ask('/a/b/two/v2?x=1')).toBe('200 2 /v2?x=1');
    expect(await ask('/v2/health', { host: 'ONE.example:8080' })).toBe('200 1 /v2/health');
    expect(await ask('/v2/health', { 'purser-deployment': 'a/b/two' })).toBe('200 2 /v2/health');
    expect(await ask('/a/b/one/v2', { host: 'one.example', 'purser-deployment': 'a/b/one' })).toBe('200 1 /v2');
    expect(await ask('/a/b/two/v2', { host: 'one.example' })).toMatch(/^400/);
    expect(await ask('/v2', { host: 'one.example', 'purser-deployment': 'a/b/two' })).toMatch(/^400/);
    for (const path of ['/a/b/one/../two/v2', '/a/b/one/%2e%2E/two', '/a%2fb/one/v2', '/a/b%5Cone/v2', '//a/b/one']) {
      expect([path, await ask(path)]).toEqual([path, expect.stringMatching(/^400/)]);
    }
  });
});

describe('Router: weighted revisions, least-loaded replica', () => {
  it('revisions get their share, and of two replicas the one with less to do', async () => {
    const held: (() => void)[] = [];
    const busy = await serve((request, response) => {
      if (request.url === '/held') held.push(() => response.end());
      else response.end('busy');
    });
    const calm = await serve((_, response) => void response.end('calm'));
    const { url } = await routed([
      deployment('a/b/split', [
        revision([replica(calm.address)], { weight: 80 }),
        revision([replica(calm.address)], { number: 2, weight: 20 }),
        revision([replica(busy.address)], { number: 3, weight: 0 }),
      ]),
      deployment('a/b/pair', [revision([replica(busy.address), replica(calm.address)], { concurrency: 8 })]),
    ]);
    const counts = new Map<string | null, number>();
    for (let i = 0; i < 400; i += 1) {
      const number = (await fetch(`${url}/a/b/split/`, { headers: bearer })).headers.get('purser-revision');
      counts.set(number, (counts.get(number) ?? 0) + 1);
    }
    // Six standard deviations either way.
    expect(counts.get('1')).toBeGreaterThan(320 - 48);
    expect(counts.get('2')).toBeGreaterThan(80 - 48);
    expect(counts.get('3')).toBeUndefined();
    const waiting: Promise<unknown>[] = [];
    while (held.length === 0) {
      waiting.push(fetch(`${url}/a/b/pair/held`, { headers: bearer }));
      await Promise.race([waiting.at(-1), eventually(() => held.length > 0)]);
    }
    for (let i = 0; i < 20; i += 1) expect(await (await fetch(`${url}/a/b/pair/`, { headers: bearer })).text()).toBe('calm');
    for (const answer of held) answer();
    await Promise.all(waiting);
  });
});
