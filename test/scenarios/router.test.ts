// A real router on a real link, with small real servers as replicas; only the book of reports is a list in memory.
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { TestControlPlane, bearer, dataFolder, deployment, replica, revision, startRouter, table, upstream } from '../support/routed.ts';

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
  const { router, url } = await startRouter(dataFolder(), plane.port);
  await eventually(async () => (await fetch(`${url}/-/readyz`)).status === 200);
  let drained = false;
  const drain = async () => {
    if (drained) return;
    drained = true;
    await router.drain();
  };
  closers.push(() => plane.stop(), drain);
  return { plane, url, drain };
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
    const answer = await fetch(`${url}/a/b/c/v2/x%2Fy?q=%20`, { method: 'PUT', body, headers: { ...bearer, 'x-mine': '1', 'purser-cost': '9', cookie: 's=1' } });
    expect(answer.status).toBe(200);
    expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
    const seen = JSON.parse(answer.headers.get('x-seen')!) as { method: string; url: string; headers: Record<string, string> };
    expect(seen).toMatchObject({ method: 'PUT', url: '/v2/x%2Fy?q=%20', headers: { 'x-mine': '1' } });
    expect(Object.keys(seen.headers)).not.toEqual(expect.arrayContaining(['authorization']));
    expect(seen.headers).not.toHaveProperty('purser-cost');
    expect(seen.headers).not.toHaveProperty('cookie');
    expect(answer.headers.get('purser-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.headers.get('purser-revision')).toBe('1');
    expect(BigInt(answer.headers.get('purser-cost')!)).toBeGreaterThan(0n);
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
    for (let i = 0; i < 40; i += 1) {
      const answer = await fetch(`${url}/a/b/c/v2`, { method: 'POST', body: 'x', headers: bearer });
      expect(await answer.text()).toBe('x');
    }
    await drain();
    expect(plane.sum('requests')).toBe(40);
    expect(plane.sum('attempts')).toBeGreaterThan(40);
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
