// Replicas that die at chosen moments behind a real router; what arrives at the next one is compared byte by byte.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer as createRawServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { bearer, deployment, replica, revision, routed, upstream, type Routed } from '../support/routed.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

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

/** An address where nobody listens. */
async function deadAddress(): Promise<string> {
  const server = createRawServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}

/** The address of a machine that says nothing: whoever listens there takes no more connections. */
async function silentAddress(): Promise<string> {
  const program = `const s = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(s.address().port))`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  closers.push(() => child.kill('SIGKILL'));
  const [printed] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(printed.toString());
  child.kill('SIGSTOP');
  // Two are held for it; nobody is answered after them.
  const waiting = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  closers.push(() => waiting.forEach((socket) => socket.destroy()));
  await eventually(() => waiting.filter(({ connecting }) => !connecting).length === 2);
  return `127.0.0.1:${port}`;
}

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Two replicas: whichever is asked first dies as it is told to, everything else is answered with the digest of the whole body. */
async function dyingOnce(die: (request: IncomingMessage) => void): Promise<string[]> {
  let died = false;
  const handler: Parameters<typeof upstream>[0] = (request, response) => {
    if (died) digest(request, response);
    else die(request);
    died = true;
  };
  return [await serve(handler), await serve(handler)];
}

function digest(request: IncomingMessage, response: ServerResponse): void {
  bytesOf(request).then(
    (body) => response.end(digestOf(body)),
    () => undefined,
  );
}

const outcome = (outgoing: ClientRequest) =>
  new Promise<{ status: number; text: string }>((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once(
      'response',
      (answer) => void bytesOf(answer).then((body) => resolve({ status: answer.statusCode ?? 0, text: body.toString() }), reject),
    );
  });

describe('Router: what is sent again', () => {
  it('a body that was still coming in when its replica died arrives whole at the next one, once', async () => {
    const started: (() => void)[] = [];
    const pair = await dyingOnce((request) => void request.once('data', () => void started.push(() => request.socket.destroy())));
    const { url, drain, plane } = await start([deployment('a/b/c', [revision(pair.map((one) => replica(one)))])]);
    const pieces = Array.from({ length: 4 }, () => randomBytes(20_000));
    const outgoing = httpRequest(`${url}/a/b/c/`, { method: 'POST', headers: bearer });
    const answer = outcome(outgoing);
    outgoing.write(pieces[0]);
    const kill = await eventually(() => started.shift() ?? false);
    kill();
    await eventually(async () => (await attempts(url, 'retried')) === 1);
    for (const piece of pieces.slice(1)) await new Promise((resolve) => outgoing.write(piece, resolve));
    outgoing.end();
    expect(await answer).toEqual({ status: 200, text: digestOf(Buffer.concat(pieces)) });
    await drain();
    expect([plane.sum('attempts'), plane.sum('requests')]).toEqual([2, 1]);
  });

  const KIB = 1024;
  it.each([
    [
      'nobody listens: nothing was sent, anything goes again',
      { to: 'dead', size: 300 * KIB, protocol: 'http', method: 'POST' },
      200,
    ],
    ['a POST without a protocol that we know goes once', { to: 'dying', size: 1 * KIB, protocol: 'http', method: 'POST' }, 502],
    [
      'the same when its owner says that it may be repeated',
      { to: 'dying', size: 1 * KIB, retryable: true, protocol: 'http', method: 'POST' },
      200,
    ],
    ['a safe method', { to: 'dying', size: 0, protocol: 'http', method: 'GET' }, 200],
    ['an inference request', { to: 'dying', size: 256 * KIB, protocol: 'oip', method: 'POST' }, 200],
    ['a request of an OpenAI client', { to: 'dying', size: 1 * KIB, protocol: 'openai', method: 'POST' }, 200],
    [
      'a body over 256 KiB of which something was sent',
      { to: 'dying', size: 256 * KIB + 1, protocol: 'oip', method: 'POST' },
      502,
    ],
  ] as const)('%s', async (_, one, status) => {
    const pair =
      one.to === 'dead'
        ? [await deadAddress(), await deadAddress(), await serve(digest)]
        : await dyingOnce((request) => void request.once('readable', () => request.socket.destroy()));
    const replicas = pair.map((address) => replica(address));
    const { url } = await start([
      deployment('a/b/c', [revision(replicas, { protocol: one.protocol, retryable: 'retryable' in one })]),
    ]);
    const body = randomBytes(one.size);
    const outgoing = httpRequest(`${url}/a/b/c/`, { method: one.method, headers: { ...bearer, 'content-length': one.size } });
    outgoing.end(body);
    const answer = await outcome(outgoing);
    expect(answer.status).toBe(status);
    if (status === 200) expect(answer.text).toBe(digestOf(body));
  });

  it('a deployment whose replicas all die costs a bounded number of further attempts', async () => {
    const dying = await Promise.all([0, 1, 2, 3].map(() => serve((request) => request.socket.destroy())));
    const { url, drain, plane } = await start([deployment('a/b/c', [revision(dying.map((one) => replica(one)))])]);
    const before = performance.now();
    for (let i = 0; i < 40; i += 1) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => fetch(`${url}/a/b/c/`, { headers: bearer })));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([502]));
    }
    const seconds = (performance.now() - before) / 1000;
    await drain();
    // Saved up, earned by requests, and ten a second; without a budget it would be 1,200.
    expect(plane.sum('attempts') - 400).toBeLessThanOrEqual(256 + 80 + 10 * (seconds + 1));
    expect(plane.sum('attempts') - 400).toBeGreaterThanOrEqual(256);
    expect(plane.sum('requests')).toBe(400);
  });
});

describe('Router: a machine that says nothing', () => {
  it('costs a part of the deadline, and the request goes to the next replica', async () => {
    const good = await serve((_, response) => void response.end('fine'));
    const pair = [await silentAddress(), good];
    const { url } = await start([deployment('a/b/c', [revision(pair.map((one) => replica(one)))], { deadlineMs: 2_000 })]);
    const statuses = new Set<number>();
    await eventually(async () => {
      const began = performance.now();
      statuses.add((await fetch(`${url}/a/b/c/`, { method: 'POST', headers: bearer, body: 'x' })).status);
      return performance.now() - began > 400;
    });
    expect(statuses).toEqual(new Set([200]));
  });
});

describe('Router: outlier ejection', () => {
  it('a replica that hangs is passed over after five deadlines in a row', async () => {
    let hung = 0;
    const hanging = await serve(() => void (hung += 1));
    const good = await serve((_, response) => void response.end('fine'));
    const { url } = await start([
      deployment('a/b/c', [revision([replica(hanging), replica(good)], { concurrency: 64 })], { deadlineMs: 60 }),
    ]);
    const ask = async () => (await fetch(`${url}/a/b/c/`, { headers: bearer })).status;
    await eventually(async () => (await ask()) === 504 && hung >= 5);
    const since = hung;
    for (let i = 0; i < 5; i += 1) expect(await ask()).toBe(200);
    expect(hung).toBe(since);
  });
});

describe('Router: streams both ways', () => {
  it('64 MiB up and down at once arrive unchanged, and little of it is in memory', async () => {
    const address = await serve((request, response) => void request.pipe(response));
    const { url } = await start([deployment('a/b/c', [revision([replica(address)])])]);
    const outgoing = httpRequest(`${url}/a/b/c/`, { method: 'POST', headers: bearer });
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    let [up, down, most] = [0, 0, 0];
    const ended = new Promise<void>((resolve) =>
      outgoing.once('response', (answer) => {
        answer.on('data', (chunk: Buffer) => {
          received.update(chunk);
          down += chunk.length;
        });
        answer.once('end', resolve);
      }),
    );
    const piece = randomBytes(1024 * 1024);
    for (; up < 64 * piece.length; up += piece.length) {
      sent.update(piece);
      if (!outgoing.write(piece)) await new Promise((resolve) => outgoing.once('drain', resolve));
      most = Math.max(most, up - down);
    }
    outgoing.end();
    await ended;
    expect(down).toBe(up);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    expect(most).toBeLessThan(32 * 1024 * 1024);
  });
});

/** Attempts with this outcome, as the router counts them. */
async function attempts(url: string, kind: string): Promise<number> {
  const text = await (await fetch(`${url}/-/metrics`)).text();
  return Number(new RegExp(`purser_router_attempts_total\\{outcome="${kind}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
}
