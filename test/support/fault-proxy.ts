import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pauseOf } from 'node:timers/promises';
import { Agent, request } from 'undici';

/** What went through, in order. */
export interface SeenRequest {
  readonly method: string;
  /** With the query. */
  readonly url: string;
  readonly authorization: string;
  readonly watch: boolean;
}

export type Fault =
  /** Answers in the server's place. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Takes the request and never says a word. */
  | { readonly kind: 'hang' }
  /** Cuts the connection; the server hears nothing of it. */
  | { readonly kind: 'refuse' }
  /** Passes the request on only then, whether or not somebody still waits for the answer, and tells its status. */
  | { readonly kind: 'late'; readonly until: Promise<unknown>; readonly answered: (asked: SeenRequest, status: number) => void }
  /** Cuts the connection before any answer; the server has done what was asked. */
  | { readonly kind: 'cut-answer' }
  /** Cuts the connection once so many bytes of the body have passed. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Passes so many bytes, waits, goes on. */
  | { readonly kind: 'slow'; readonly bytes: number; readonly everyMs: number }
  /** Line by line of a watch: what is passed on instead. None drops it, two repeat it, one held back and given with the next reorders. */
  | { readonly kind: 'lines'; readonly edit: (line: string) => readonly string[] }
  /** The watch stays open and says nothing once `after` lines have passed. */
  | { readonly kind: 'stall'; readonly after: number };

export interface Rule {
  readonly on: (request: SeenRequest) => boolean;
  /** Absent: until it is taken away. */
  readonly times?: number;
  readonly fault: Fault;
}

/** An HTTP proxy in front of an API server that does to requests and answers what networks and servers do in their bad hours. */
export interface FaultProxy {
  readonly url: string;
  /** A kubeconfig (JSON) for this proxy with that token. */
  kubeconfig(token: string): string;
  readonly seen: readonly SeenRequest[];
  /** The newest rule that matches decides. Answers how to take it away. */
  fail(rule: Rule): () => void;
  /** Pulls the cable: open connections are cut, and nothing gets through. Answers how to plug it in again. */
  cutOff(): () => void;
  /** Takes every rule away and cuts what hangs. */
  heal(): void;
  close(): Promise<void>;
}

export const onWatch = (seen: SeenRequest): boolean => seen.watch;
export const onList = (seen: SeenRequest): boolean => seen.method === 'GET' && !seen.watch;
export const onAny = (): boolean => true;

export interface Upstream {
  readonly url: string;
  /** Certificate authority (PEM) of an `https` one. */
  readonly ca?: string | Buffer;
}

export async function startFaultProxy(upstream: Upstream): Promise<FaultProxy> {
  const dispatcher = new Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    ...(upstream.ca === undefined ? {} : { connect: { ca: upstream.ca } }),
  });
  const rules: { rule: Rule; left: number }[] = [];
  const seen: SeenRequest[] = [];
  const hanging = new Set<ServerResponse>();

  const take = (asked: SeenRequest): Fault | null => {
    const found = rules.findLast(({ rule, left }) => left > 0 && rule.on(asked));
    if (!found) return null;
    found.left -= 1;
    return found.rule.fault;
  };
  const fail = (rule: Rule): (() => void) => {
    const entry = { rule, left: rule.times ?? Number.POSITIVE_INFINITY };
    rules.push(entry);
    return () => (entry.left = 0);
  };
  const server = createServer((incoming, outgoing) => {
    const asked = describe(incoming);
    seen.push(asked);
    pass({ incoming, outgoing, asked, fault: take(asked), upstream: upstream.url, dispatcher, hanging }).catch(() =>
      outgoing.destroy(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    kubeconfig: (token) => kubeconfigOf(url, token),
    seen,
    fail,
    cutOff: () => {
      const plugIn = fail({ on: onAny, fault: { kind: 'refuse' } });
      server.closeAllConnections();
      return plugIn;
    },
    heal: () => {
      rules.length = 0;
      for (const outgoing of hanging) outgoing.destroy();
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await dispatcher.destroy();
    },
  };
}

function describe(incoming: IncomingMessage): SeenRequest {
  const url = incoming.url ?? '/';
  return {
    method: incoming.method ?? 'GET',
    url,
    authorization: incoming.headers.authorization ?? '',
    watch: new URL(url, 'http://proxy').searchParams.get('watch') === 'true',
  };
}

const kubeconfigOf = (server: string, token: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
  });

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly asked: SeenRequest;
  readonly fault: Fault | null;
  readonly upstream: string;
  readonly dispatcher: Agent;
  readonly hanging: Set<ServerResponse>;
}

async function pass(exchange: Exchange): Promise<void> {
  const { incoming, outgoing, fault } = exchange;
  if (fault?.kind === 'refuse') {
    outgoing.destroy();
    return;
  }
  const body = await bodyOf(incoming);
  switch (fault?.kind) {
    case 'answer':
      outgoing.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers }).end(fault.body ?? '');
      return;
    case 'hang':
      leaveHanging(exchange);
      return;
    case 'stall':
      leaveHanging(exchange);
      break;
    case 'late':
      await fault.until;
  }
  await passOn(exchange, body);
}

function leaveHanging({ outgoing, hanging }: Exchange): void {
  hanging.add(outgoing);
  outgoing.once('close', () => hanging.delete(outgoing));
}

async function passOn({ incoming, outgoing, asked, fault, upstream, dispatcher }: Exchange, sent: Buffer): Promise<void> {
  const ended = new AbortController();
  outgoing.once('close', () => {
    ended.abort();
  });
  const { host: _host, connection: _connection, ...headers } = incoming.headers;
  const {
    statusCode,
    headers: answered,
    body,
  } = await request(`${upstream}${asked.url}`, {
    dispatcher,
    method: asked.method as 'GET',
    headers,
    body: sent.length > 0 ? sent : null,
    signal: ended.signal,
  });
  if (fault?.kind === 'late') fault.answered(asked, statusCode);
  if (fault?.kind === 'cut-answer') {
    await body.dump();
    outgoing.destroy();
    return;
  }
  const { 'content-length': _length, 'transfer-encoding': _encoding, connection: _kept, ...kept } = answered;
  outgoing.writeHead(statusCode, kept);
  outgoing.flushHeaders();
  await passBody(body, outgoing, fault);
}

async function passBody(body: AsyncIterable<Buffer>, outgoing: ServerResponse, fault: Fault | null): Promise<void> {
  switch (fault?.kind) {
    case 'lines':
      await passLines(body, outgoing, fault.edit);
      break;
    case 'stall': {
      let left = fault.after;
      await passLines(body, outgoing, (line) => (left-- > 0 ? [line] : []));
      // Its end is not told either.
      return;
    }
    case 'cut':
      await cutAfter(body, outgoing, fault.afterBytes);
      break;
    case 'slow':
      await passSlowly(body, outgoing, fault);
      break;
    default:
      for await (const chunk of body) outgoing.write(chunk);
  }
  outgoing.end();
}

async function passLines(
  body: AsyncIterable<Buffer>,
  outgoing: ServerResponse,
  edit: (line: string) => readonly string[],
): Promise<void> {
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.flatMap(edit)) outgoing.write(`${line}\n`);
  }
}

async function cutAfter(body: AsyncIterable<Buffer>, outgoing: ServerResponse, bytes: number): Promise<void> {
  let left = bytes;
  for await (const chunk of body) {
    await new Promise((resolve) => outgoing.write(chunk.subarray(0, left), resolve));
    left -= chunk.length;
    if (left > 0) continue;
    outgoing.destroy();
    return;
  }
}

async function passSlowly(
  body: AsyncIterable<Buffer>,
  outgoing: ServerResponse,
  { bytes, everyMs }: { bytes: number; everyMs: number },
): Promise<void> {
  for await (const chunk of body)
    for (let at = 0; at < chunk.length; at += bytes) {
      outgoing.write(chunk.subarray(at, at + bytes));
      // The slowness is the fault.
      await pauseOf(everyMs);
    }
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
