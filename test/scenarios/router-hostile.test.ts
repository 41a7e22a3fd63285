// Raw sockets on both sides of a real router: replicas that speak no HTTP, callers that do not play by the rules.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { bearer, deployment, replica, revision, routed, TOKEN, upstream, type Routed } from '../support/routed.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A replica that answers each connection with these bytes once it has read something, and then may hang up. */
async function rawReplica(answer: string | Buffer, hangUp = true): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(typeof answer === 'string' ? Buffer.from(answer, 'latin1') : answer);
      if (hangUp) socket.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function serve(handler: Parameters<typeof upstream>[0]): Promise<string> {
  const { server, address } = await upstream(handler);
  closers.push(() => (server.closeAllConnections(), server.close()));
  return address;
}

async function start(...args: Parameters<typeof routed>): Promise<Routed> {
  const one = await routed(...args);
  closers.push(() => one.stop());
  return one;
}

/** A caller that writes what it likes; `text()` is all that came back. */
class RawCaller {
  readonly socket: Socket;
  #received = '';
  closed = false;

  constructor(url: string, { allowHalfOpen = true } = {}) {
    this.socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen });
    this.socket.on('data', (chunk) => (this.#received += chunk.toString('latin1')));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => (this.closed = true));
    this.socket.on('end', () => (this.closed = true));
    closers.push(() => this.socket.destroy());
  }

  text = (): string => this.#received;

  send(text: string): this {
    this.socket.write(text);
    return this;
  }
}

const AUTH = `Host: x\r\nAuthorization: Bearer ${TOKEN}\r\n`;
const inFlight = async (url: string): Promise<number> =>
  ((await (await fetch(`${url}/-/status`)).json()) as { inFlight: number }).inFlight;
const isFree = (url: string) => eventually(async () => (await inFlight(url)) === 0);

const ENDLESS = 'HTTP/1.1 200 O\x01K\r\n\r\n';
const fine: Parameters<typeof upstream>[0] = (_, response) => void response.end('fine');

const ODD_ANSWERS: readonly (readonly [string, string, number])[] = [
  ['no HTTP at all', 'hello\r\n\r\n', 502],
  ['nothing', '', 502],
  ['a header without end', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`, 502],
  ['a header without a colon', 'HTTP/1.1 200 OK\r\nbroken\r\n\r\n', 502],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 502],
  ['an upgrade that nobody asked for', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n', 502],
  ['a status of 000', 'HTTP/1.1 000 Odd\r\nContent-Length: 2\r\n\r\nok', 502],
  ['a status of 999', 'HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok', 999],
  ['a control character in the reason', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok', 200],
  ['a control character in the reason of an endless answer', ENDLESS, 200],
  ['a reason in another alphabet', 'HTTP/1.1 200 \xdcnic\xf6de\r\nContent-Length: 2\r\n\r\nok', 200],
  ['a header value of high bytes', 'HTTP/1.1 200 OK\r\nx: \xff\x80\r\nContent-Length: 2\r\n\r\nok', 200],
  ['a body with a 204', 'HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok', 204],
  ['an early hint', 'HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 200],
  ['trailers', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n2\r\nok\r\n0\r\nx: 1\r\n\r\n', 200],
  [
    'headers of the connection',
    'HTTP/1.1 200 OK\r\nConnection: close, x-y\r\nx-y: 1\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok',
    200,
  ],
];

describe('Router: a replica that speaks no proper HTTP', () => {
  it('every caller gets an answer, each is counted once, and the router lives', async () => {
    const rows = [];
    for (const [i, [, answer]] of ODD_ANSWERS.entries()) {
      rows.push(deployment(`a/b/odd${i}`, [revision([replica(await rawReplica(answer, answer !== ENDLESS))])]));
    }
    const { url, drain, plane } = await start([...rows, deployment('a/b/good', [revision([replica(await serve(fine))])])]);
    for (const [i, [what, , status]] of ODD_ANSWERS.entries()) {
      const caller = new RawCaller(url).send(`POST /a/b/odd${i}/ HTTP/1.1\r\n${AUTH}Content-Length: 2\r\n\r\nhi`);
      await eventually(() => caller.text().includes('\r\n\r\n')).catch(() => undefined);
      expect([what, caller.text().slice(0, 13)]).toEqual([what, `HTTP/1.1 ${status} `]);
      expect(caller.text()).not.toMatch(/\r\n(x-y|upgrade):/i);
      caller.socket.destroy();
      expect(await (await fetch(`${url}/a/b/good/`, { headers: bearer })).text()).toBe('fine');
    }
    await drain();
    expect(plane.sum('requests')).toBe(2 * ODD_ANSWERS.length);
  });

  it('an answer that ends too early is cut for the caller too, and counts as an error', async () => {
    const bad = await rawReplica('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this');
    const { url, drain, plane } = await start([deployment('a/b/c', [revision([replica(bad)])])]);
    const answer = await fetch(`${url}/a/b/c/`, { headers: bearer });
    await expect(answer.text()).rejects.toThrow();
    await drain();
    expect([plane.sum('requests'), plane.sum('errors')]).toEqual([1, 1]);
  });

  it('an answer before the request is whole reaches the caller', async () => {
    const early = await rawReplica('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig');
    const { url } = await start([deployment('a/b/c', [revision([replica(early)])])]);
    const caller = new RawCaller(url).send(
      `POST /a/b/c/ HTTP/1.1\r\n${AUTH}Content-Length: 1000000\r\n\r\n${'x'.repeat(10_000)}`,
    );
    await eventually(() => caller.text().includes('big'));
    expect(caller.text()).toMatch(/^HTTP\/1.1 413 /);
    await isFree(url);
  });
});

describe('Router: targets and hosts that mean two things', () => {
  it('a replica is sent a path and never the absolute form; two Hosts are refused', async () => {
    const address = await serve((request, response) => void response.end(request.url));
    const { url } = await start([deployment('a/b/c', [revision([replica(address)])])]);
    const answerTo = async (target: string, more = ''): Promise<string> => {
      const caller = new RawCaller(url).send(`GET ${target} HTTP/1.1\r\n${AUTH}Connection: close\r\n${more}\r\n`);
      await eventually(() => caller.closed);
      return `${caller.text().slice(9, 12)} ${caller.text().split('\r\n').at(-1)}`;
    };
    expect(await answerTo('http://elsewhere.example:1/secret?q', 'Purser-Deployment: a/b/c\r\n')).toBe('200 /secret?q');
    expect(await answerTo('http://elsewhere.example/a/b/c/v2')).toBe('200 /v2');
    expect(await answerTo('*', 'Purser-Deployment: a/b/c\r\n')).toMatch(/^400 /);
    expect(await answerTo('/a/b/c/v2', 'host: elsewhere.example\r\n')).toMatch(/^400 /);
  });
});

describe('Router: callers that take too much', () => {
  it('a head that comes too slowly, or is too large, is cut with an answer', async () => {
    const { url } = await start([deployment('a/b/c', [revision([replica(await serve(fine))])])], { headMs: 200 });
    const slow = new RawCaller(url).send('GET /a/b/c/ HTTP/1.1\r\nHost: x\r\n');
    await eventually(() => slow.closed);
    expect(slow.text()).toMatch(/^HTTP\/1.1 408 /);
    const large = new RawCaller(url).send(`GET /a/b/c/ HTTP/1.1\r\n${AUTH}x: ${'y'.repeat(20_000)}\r\n\r\n`);
    await eventually(() => large.closed);
    expect(large.text()).toMatch(/^HTTP\/1.1 431 /);
    const nonsense = new RawCaller(url).send('hello\r\n\r\n');
    await eventually(() => nonsense.closed);
    expect(nonsense.text()).toMatch(/^HTTP\/1.1 400 /);
  });

  it('connections beyond the bound are turned away, and one that ends makes room', async () => {
    const { url } = await start([deployment('a/b/c', [revision([replica(await serve(fine))])])], { connections: 3 });
    const get = `GET /a/b/c/ HTTP/1.1\r\n${AUTH}\r\n`;
    const callers = Array.from({ length: 4 }, () => new RawCaller(url).send(get));
    await eventually(() => callers.filter((one) => one.closed && one.text() === '').length >= 1);
    const served = await eventually(() => callers.find((one) => one.text().includes('fine')) ?? false);
    served.socket.destroy();
    await eventually(async () => (await fetch(`${url}/a/b/c/`, { headers: bearer })).status === 200);
  });

  it('one that sends its body too slowly holds no replica and gets 504; one that was refused cannot send for ever', async () => {
    let asked = 0;
    const address = await serve((_, response) => void ((asked += 1), response.end()));
    const { url } = await start([deployment('a/b/c', [revision([replica(address)])], { deadlineMs: 100 })]);
    const slow = new RawCaller(url).send(`POST /a/b/c/ HTTP/1.1\r\n${AUTH}Content-Length: 10\r\n\r\nx`);
    await eventually(() => slow.text().startsWith('HTTP/1.1 504 '));
    expect(asked).toBe(0);
    const stranger = new RawCaller(url).send('POST /a/b/c/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx');
    await eventually(() => stranger.text().startsWith('HTTP/1.1 401 '));
    await eventually(() => slow.closed && stranger.closed);
  });

  it('one that is refused a hundred times over one connection leaves nothing behind', async () => {
    const { url } = await start([deployment('a/b/c', [revision([replica(await serve(fine))])])]);
    const warnings: string[] = [];
    const listen = (warning: Error): void => void warnings.push(warning.message);
    process.on('warning', listen);
    closers.push(() => process.off('warning', listen));
    const caller = new RawCaller(url);
    for (let n = 1; n <= 100; n += 1) {
      caller.send('POST /a/b/c/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n');
      await eventually(() => caller.text().split('HTTP/1.1 401 ').length === n + 1);
      caller.send('late');
    }
    expect([caller.closed, warnings]).toEqual([false, []]);
  });

  it('one that reads nothing of its answer is cut, and the replica is free again', async () => {
    const address = await serve((_, response) => void response.end(Buffer.alloc(64 * 1024 * 1024)));
    const rows = [deployment('a/b/c', [revision([replica(address)], { concurrency: 1 })])];
    const { url, drain, plane } = await start(rows, { stallMs: 200 });
    const lazy = new RawCaller(url).send(`GET /a/b/c/ HTTP/1.1\r\n${AUTH}\r\n`);
    lazy.socket.pause();
    await isFree(url);
    await drain();
    expect([plane.sum('attempts'), plane.sum('errors')]).toEqual([1, 1]);
  });
});

describe('Router: callers that go away', () => {
  it.each([
    ['in the middle of an answer', (caller: RawCaller) => caller.socket.destroy()],
    ['by closing their half of the connection', (caller: RawCaller) => caller.socket.end()],
  ])('%s: the replica is free for the next one, and what was used is booked', async (_, leave) => {
    let first = true;
    const address = await serve((_request, response) => {
      if (!first) return void response.end('fine');
      first = false;
      response.write('a beginning');
    });
    const { url, drain, plane } = await start([deployment('a/b/c', [revision([replica(address)], { concurrency: 1 })])]);
    const caller = new RawCaller(url).send(`GET /a/b/c/ HTTP/1.1\r\n${AUTH}\r\n`);
    await eventually(() => caller.text().includes('a beginning'));
    const next = fetch(`${url}/a/b/c/`, { headers: bearer });
    leave(caller);
    expect(await (await next).text()).toBe('fine');
    await drain();
    expect([plane.sum('attempts'), plane.sum('requests'), plane.sum('errors')]).toEqual([2, 2, 1]);
    expect(plane.sum('busyUs')).toBeGreaterThan(0);
  });
});

describe('Router: what HTTP allows a caller', () => {
  it('HEAD, 100-continue, pipelined requests and an offer of HTTP/2 are served; other upgrades and CONNECT are refused at once', async () => {
    const address = await serve((request, response) => {
      request.resume();
      request.once('end', () => response.writeHead(200, { 'content-length': '4', 'x-method': request.method }).end('fine'));
    });
    const { url } = await start([deployment('a/b/c', [revision([replica(address)])])]);
    const answered = async (text: string, whole: (received: string) => boolean) => {
      const caller = new RawCaller(url).send(text);
      await eventually(() => whole(caller.text()));
      return caller;
    };
    const ends = (received: string) => received.includes('\r\n\r\n');
    const head = await answered(`HEAD /a/b/c/ HTTP/1.1\r\n${AUTH}\r\n`, ends);
    expect(head.text()).toMatch(/^HTTP\/1.1 200 .*content-length: 4.*x-method: HEAD.*\r\n\r\n$/is);
    const patient = await answered(`POST /a/b/c/ HTTP/1.1\r\n${AUTH}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`, ends);
    expect(patient.text()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    patient.send('hi');
    await eventually(() => patient.text().endsWith('fine'));
    const two = `GET /a/b/c/ HTTP/1.1\r\n${AUTH}\r\n`.repeat(2);
    await answered(two, (received) => received.split('\r\n\r\nfine').length === 3);
    const offer = await answered(
      `GET /a/b/c/ HTTP/1.1\r\n${AUTH}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n`,
      ends,
    );
    expect(offer.text()).toMatch(/^HTTP\/1.1 200 /);
    const socket = await answered(`GET /a/b/c/ HTTP/1.1\r\n${AUTH}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`, ends);
    expect(socket.text()).toMatch(/^HTTP\/1.1 501 .*cannot be upgraded/s);
    const connection = await answered(`CONNECT a.example:443 HTTP/1.1\r\n${AUTH}\r\n`, () => true);
    await eventually(() => connection.closed);
  });
});

describe('Router: bytes of callers', () => {
  it('whatever byte is in a path, a header or its name is passed on or refused, and never looks like a dead replica', async () => {
    const { url } = await start([deployment('a/b/c', [revision([replica(await serve(fine))])])]);
    const statuses = new Map<string, number>();
    const heads = Array.from({ length: 255 }, (_, n) => String.fromCharCode(n + 1)).flatMap((byte) => [
      `GET /a/b/c/x${byte}y HTTP/1.1\r\n${AUTH}\r\n`,
      `GET /a/b/c/x?q=${byte}y HTTP/1.1\r\n${AUTH}\r\n`,
      `GET /a/b/c/ HTTP/1.1\r\n${AUTH}x-a: b${byte}d\r\n\r\n`,
      `GET /a/b/c/ HTTP/1.1\r\n${AUTH}x-${byte}a: b\r\n\r\n`,
    ]);
    for (const head of heads) {
      const caller = new RawCaller(url);
      caller.socket.write(Buffer.from(head, 'latin1'));
      await new Promise((resolve) => caller.socket.once('data', resolve));
      const status = caller.text().slice(9, 12);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      caller.socket.destroy();
    }
    expect([...statuses.keys()].sort()).toEqual(['200', '400']);
    expect(statuses.get('200')).toBeGreaterThan(400);
  });
});
