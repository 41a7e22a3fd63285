// A real router whose deployment has no replica yet; the table that brings the first one comes when the test says so.
import { request as httpRequest } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { RouteDeployment, RouteReplica, RouteRevision, RouteWake } from '../../src/traffic/router-contract/route-table.ts';
import { eventually } from '../support/eventually.ts';
import { bearer, deployment, replica, revision, routed, table, upstream, type Routed } from '../support/routed.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(handler: Parameters<typeof upstream>[0]): Promise<string> {
  const { server, address } = await upstream(handler);
  closers.push(() => (server.closeAllConnections(), server.close()));
  return address;
}

interface Waking extends Routed {
  readonly row: RouteDeployment;
  readonly ask: (signal?: AbortSignal) => Promise<{ status: number; text: string; headers: Headers }>;
  /** Sends the next table. */
  readonly tell: (change: Partial<RouteDeployment>, replicas?: readonly RouteReplica[]) => void;
  readonly inFlight: (count: number) => Promise<unknown>;
}

async function waking(wake: RouteWake, more: Partial<RouteDeployment> = {}, spec: Partial<RouteRevision> = {}): Promise<Waking> {
  const only = revision([], spec);
  const row = deployment('a/b/c', [only], { wake, ...more });
  const router = await routed([row]);
  closers.push(router.stop);
  let n = 1;
  const ask: Waking['ask'] = async (signal) => {
    const answer = await fetch(`${router.url}/a/b/c/v2`, {
      method: 'POST',
      body: 'x',
      headers: bearer,
      ...(signal ? { signal } : {}),
    });
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  };
  const tell: Waking['tell'] = (change, replicas = []) =>
    router.plane.set(table((n += 1), [{ ...row, revisions: [{ ...only, replicas }], ...change }]));
  const inFlight = (count: number) =>
    eventually(async () => {
      const status = (await (await fetch(`${router.url}/-/status`)).json()) as { inFlight: number };
      return status.inFlight === count;
    });
  return { ...router, row, ask, tell, inFlight };
}

const starting: RouteWake = { wished: 1, since: null, etaMs: null };

describe('Scale to zero: the router holds requests while the first replica starts', () => {
  it('waking under load loses no request: all wait, none is stamped or booked for waiting', async () => {
    let most = 0;
    let now = 0;
    const address = await serve((_, response) => {
      most = Math.max(most, (now += 1));
      setImmediate(() => ((now -= 1), response.end('here')));
    });
    const router = await waking(starting, { queueLimit: 500 }, { concurrency: 4 });
    const asked = Array.from({ length: 300 }, () => router.ask());
    await router.inFlight(300);
    const wokenAt = performance.now();
    router.tell({ wake: undefined }, [replica(address)]);
    const answers = await Promise.all(asked);
    const servedMs = performance.now() - wokenAt;
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`))).toEqual(new Set(['200 here']));
    expect(most).toBeLessThanOrEqual(4);
    await router.drain();
    expect([router.plane.sum('requests'), router.plane.sum('attempts'), router.plane.sum('errors')]).toEqual([300, 300, 0]);
    // Four at a time from the table on; how long each was held before is in none of it.
    expect(router.plane.sum('busyUs')).toBeLessThanOrEqual(4 * servedMs * 1000);
    const replicas = new Set(router.plane.reports.flatMap((report) => report.rows.map((row) => row.replicaId)));
    expect(replicas.size).toBe(1);
  });

  it('as many as the queue takes: one more is told when to come back', async () => {
    const address = await serve((_, response) => void response.end('here'));
    const router = await waking({ wished: 1, since: null, etaMs: 4_200 }, { queueLimit: 2 });
    const held = [router.ask(), router.ask()];
    await router.inFlight(2);
    const refused = await router.ask();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '5']);
    router.tell({ wake: undefined }, [replica(address)]);
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200]);
  });

  it.each<[string, () => RouteWake, RegExp]>([
    ['the rest of what a start mostly takes', () => ({ wished: 1, since: Date.now() - 3_000, etaMs: 10_000 }), /^[67]$/],
    [
      'at least a second once it takes longer than usual',
      () => ({ wished: 1, since: Date.now() - 60_000, etaMs: 10_000 }),
      /^1$/,
    ],
    ['a second where nobody knows', () => starting, /^1$/],
    ['all of it where none has begun', () => ({ wished: 1, since: null, etaMs: 90_000 }), /^90$/],
  ])('gives up at the deadline with 503 and Retry-After: %s', async (_name, wake, wanted) => {
    const router = await waking(wake(), { deadlineMs: 150 });
    const answer = await router.ask();
    expect([answer.status, answer.headers.get('purser-cost')]).toEqual([503, null]);
    expect(answer.headers.get('retry-after')).toMatch(wanted);
    expect(answer.text).toContain('starting');
    await router.drain();
    expect(router.plane.reports.flatMap((report) => report.rows)).toEqual([]);
  });

  it('a held caller that hangs up frees its place', async () => {
    const address = await serve((_, response) => void response.end('here'));
    const router = await waking(starting, { queueLimit: 1 });
    const abort = new AbortController();
    const first = router.ask(abort.signal).catch(() => 'gone');
    await router.inFlight(1);
    expect((await router.ask()).status).toBe(429);
    abort.abort();
    expect(await first).toBe('gone');
    await router.inFlight(0);
    const second = router.ask();
    await router.inFlight(1);
    router.tell({ wake: undefined }, [replica(address)]);
    expect((await second).status).toBe(200);
    await router.drain();
    expect([router.plane.sum('requests'), router.plane.sum('attempts')]).toEqual([1, 1]);
  });

  it('a router that is told to stop while it holds answers what it holds before it goes', async () => {
    const address = await serve((_, response) => void response.end('here'));
    const router = await waking(starting);
    const held = [router.ask(), router.ask(), router.ask()];
    await router.inFlight(3);
    const drained = router.drain();
    await eventually(() =>
      fetch(`${router.url}/-/readyz`, { headers: { connection: 'close' } }).then(
        () => false,
        () => true,
      ),
    );
    router.tell({ wake: undefined }, [replica(address)]);
    const answers = await Promise.all(held);
    expect(answers.map(({ status, headers }) => `${status} ${headers.get('connection')}`)).toEqual(Array(3).fill('200 close'));
    await drained;
    expect(router.plane.sum('requests')).toBe(3);
  });

  it('the last replica leaves and another one comes: what waits goes there', async () => {
    const [first, second] = [
      replica(await serve(() => undefined)),
      replica(await serve((_, response) => void response.end('here'))),
    ];
    const router = await waking(starting, { deadlineMs: 2_000 }, { concurrency: 1 });
    router.tell({ wake: undefined }, [first]);
    const stuck = router.ask().catch(() => null);
    await router.inFlight(1);
    const waits = router.ask();
    await router.inFlight(2);
    router.tell({});
    router.tell({ wake: undefined }, [second]);
    expect((await waits).text).toBe('here');
    void stuck;
  });
});

describe('Scale to zero: a deployment at 0 replicas', () => {
  const asleep: RouteWake = { wished: 0, since: null, etaMs: null };

  it('answers 503 at once and says how to wake it', async () => {
    const router = await waking(asleep);
    const answer = await router.ask();
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, null]);
    expect((JSON.parse(answer.text) as { error: string }).error).toBe(
      'It is scaled to 0 replicas. Wake it with the mutation scaleDeployment, or with: purser scale a/b/c --replicas 1',
    );
  });

  it('what was held is told so when it is put to sleep; once it is awake again it serves', async () => {
    const address = await serve((_, response) => void response.end('here'));
    const router = await waking(starting);
    const held = router.ask();
    await router.inFlight(1);
    router.tell({ wake: asleep });
    expect((await held).status).toBe(503);
    router.tell({ wake: undefined }, [replica(address)]);
    await eventually(async () => (await router.ask()).status === 200);
  });

  it('is passed on to nobody, also by a caller that has no right to it', async () => {
    const router = await waking(asleep);
    const status = await new Promise((resolve) =>
      httpRequest(`${router.url}/a/b/c/`, (answer) => resolve(answer.statusCode)).end(),
    );
    expect(status).toBe(401);
  });
});
