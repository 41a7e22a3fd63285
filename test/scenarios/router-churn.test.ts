// Replicas come and go at addresses that are given again, as pods do; the servers behind a real router tell what reached them, and on which connection.
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { RouteReplica, RouteRevision } from '../../src/traffic/router-contract/route-table.ts';
import { eventually } from '../support/eventually.ts';
import { bearer, deployment, replica, revision, routed, table } from '../support/routed.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Pod {
  readonly address: string;
  readonly port: number;
  /** The connection of each request, in order. */
  readonly seen: Socket[];
  readonly die: () => Promise<void>;
}

/** A server on a port of its own, or on one that another one had before. */
async function pod(handler: RequestListener, port = 0): Promise<Pod> {
  const seen: Socket[] = [];
  const server: Server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    seen.push(request.socket);
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const die = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  closers.push(die);
  const bound = (server.address() as AddressInfo).port;
  return { address: `127.0.0.1:${bound}`, port: bound, seen, die };
}

const says =
  (text: string): RequestListener =>
  (_, response) =>
    void response.end(text);

async function start(replicas: readonly RouteReplica[], more: Partial<RouteRevision> = {}) {
  const only = revision(replicas, more);
  const row = deployment('a/b/c', [only]);
  const router = await routed([row]);
  closers.push(router.stop);
  const ask = async () => {
    const answer = await fetch(`${router.url}/a/b/c/v2`, { method: 'POST', body: 'x', headers: bearer });
    return `${answer.status} ${await answer.text()}`;
  };
  let n = 1;
  /** Resolves when the router has the table. */
  const tell = async (next: readonly RouteReplica[]) => {
    n += 1;
    router.plane.set(table(n, [{ ...row, revisions: [{ ...only, replicas: next }] }]));
    await eventually(async () => {
      const status = (await (await fetch(`${router.url}/-/status`)).json()) as { tableVersion: { n: number } };
      return status.tableVersion.n === n;
    });
  };
  const rowsOf = ({ replicaId }: RouteReplica) =>
    router.plane.reports.flatMap((report) => report.rows).filter((one) => one.replicaId === replicaId);
  return { ...router, ask, tell, rowsOf };
}

const times = async <T>(count: number, body: () => Promise<T>): Promise<T[]> => {
  const all: T[] = [];
  for (let i = 0; i < count; i += 1) all.push(await body());
  return all;
};

describe('Route: an address that was another replica a moment ago', () => {
  it('the new replica is not passed over for what the old one did, and nothing of the old one is booked to it', async () => {
    const dying = await pod((request) => void request.socket.destroy());
    const steady = await pod(says('steady'));
    const [old, other] = [replica(dying.address), replica(steady.address)];
    const router = await start([old, other]);
    // Each failure in a row doubles the ejection, until nobody would ask for seconds.
    const answers = await eventually(async () => {
      const some = await times(10, router.ask);
      return dying.seen.length >= 4 && some;
    });
    expect(new Set(answers)).toEqual(new Set(['200 steady']));
    await dying.die();
    const fresh = await pod(says('fresh'), dying.port);
    const next = replica(fresh.address);
    await router.tell([next, other]);
    const after = await times(40, router.ask);
    expect(new Set(after)).toEqual(new Set(['200 steady', '200 fresh']));
    expect(after.filter((text) => text === '200 fresh').length).toBeGreaterThan(5);
    await router.drain();
    const sum = (rows: ReturnType<typeof router.rowsOf>, field: 'attempts' | 'errors') =>
      rows.reduce((all, one) => all + one[field], 0);
    expect([sum(router.rowsOf(next), 'attempts'), sum(router.rowsOf(next), 'errors')]).toEqual([fresh.seen.length, 0]);
    expect(sum(router.rowsOf(old), 'attempts')).toBe(dying.seen.length);
  });

  it('a connection that was kept open to the old replica carries no request of the new one', async () => {
    const both = await pod(says('ok'));
    const router = await start([replica(both.address)]);
    await times(3, router.ask);
    const kept = new Set(both.seen);
    expect(kept.size).toBe(1);
    await router.tell([replica(both.address)]);
    expect(await router.ask()).toBe('200 ok');
    expect(kept.has(both.seen.at(-1)!)).toBe(false);
    await eventually(() => [...kept].every((socket) => socket.destroyed));
  });
});

describe('Route: a replica that leaves the table', () => {
  it('finishes what it has and gets nothing new from the moment the router has the table', async () => {
    const finish: (() => void)[] = [];
    const leaving = await pod((_, response) => {
      response.write('be');
      finish.push(() => response.end('gun'));
    });
    const staying = await pod(says('stays'));
    const router = await start([replica(leaving.address)]);
    const begun = [router.ask(), router.ask()];
    await eventually(() => finish.length === 2);
    await router.tell([replica(staying.address)]);
    const burst = await Promise.all(Array.from({ length: 200 }, router.ask));
    expect(new Set(burst)).toEqual(new Set(['200 stays']));
    expect(leaving.seen).toHaveLength(2);
    for (const end of finish) end();
    expect(await Promise.all(begun)).toEqual(['200 begun', '200 begun']);
    await eventually(() => leaving.seen.every((socket) => socket.destroyed));
  });
});

describe('Route: many replicas die at once', () => {
  it('under load every request is answered by those that are left', async () => {
    const pods = await Promise.all(
      Array.from({ length: 8 }, () => pod((_, response) => void setImmediate(() => response.end('alive')))),
    );
    const router = await start(pods.map(({ address }) => replica(address)));
    const answers: string[] = [];
    const caller = async (): Promise<void> => {
      while (answers.length < 800) answers.push(await router.ask());
    };
    const load = Promise.all(Array.from({ length: 16 }, caller));
    await eventually(() => answers.length > 100);
    await Promise.all(pods.slice(0, 5).map(({ die }) => die()));
    await load;
    expect(new Set(answers)).toEqual(new Set(['200 alive']));
  });

  it('a request that no replica has seen anything of finds the one that is left, however many refuse', async () => {
    const gone = await Promise.all(Array.from({ length: 12 }, () => pod(says('never'))));
    await Promise.all(gone.map(({ die }) => die()));
    const alive = await pod(says('alive'));
    // Nothing that was sent may be sent again here, so that only refused connections are tried elsewhere.
    const router = await start(
      [...gone, alive].map(({ address }) => replica(address)),
      { protocol: 'http' },
    );
    expect(await times(20, router.ask)).toEqual(Array(20).fill('200 alive'));
  });
});
