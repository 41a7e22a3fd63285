// The part of a strict HTTP double that all share: routes, faults, and refusal of whatever the documented API does not know.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { z } from 'zod';
import type { CloudTrouble } from './cloud-provider-suite.ts';

export interface DoubleRequest {
  readonly method: string;
  readonly path: string;
  /** Of the path, by the groups of the route's pattern. */
  readonly names: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

export interface DoubleAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string is sent as it is. */
  readonly body?: unknown;
}

export interface DoubleRoute {
  readonly method: string;
  readonly path: RegExp;
  /** Names that the query may have; others are refused. */
  readonly query?: readonly string[];
  /** A POST that changes nothing. */
  readonly isRead?: boolean;
  readonly answer: (request: DoubleRequest) => DoubleAnswer;
}

/** How the API words a refusal. */
export type RefusalWords = (status: number, code: string, message: string) => unknown;

/** Thrown by a route: the API's own refusal. */
export class DoubleRefusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface DoubleOptions {
  readonly routes: readonly DoubleRoute[];
  readonly words: RefusalWords;
  /** Null = the API asks for no sign-in. */
  readonly token: string | null;
}

/** A server that answers as the public reference of an API says, and refuses everything else. */
export class HttpDouble {
  readonly #options: DoubleOptions;
  readonly #server: Server;
  #trouble: CloudTrouble | null = null;
  #loses: 'request' | 'answer' | null = null;
  #spares = 0;
  #throttled = 0;
  readonly seen: string[] = [];
  url = '';

  constructor(options: DoubleOptions) {
    this.#options = options;
    this.#server = createServer((incoming, outgoing) => {
      void read(incoming).then((text) => {
        const outcome = this.#take(incoming, text);
        if (outcome === 'hangs') return;
        if (outcome === 'lost') incoming.socket.destroy();
        else {
          const { status = 200, headers = {}, body } = outcome;
          outgoing.writeHead(status, { 'content-type': 'application/json', ...headers });
          outgoing.end(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body));
        }
      });
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  trouble(how: CloudTrouble | null): void {
    this.#trouble = how;
  }

  /** The next call that changes something gets no answer, or the one after so many of them. */
  lose(what: 'request' | 'answer', after = 0): void {
    this.#loses = what;
    this.#spares = after;
  }

  /** The next calls are turned away, and told to come back at once. */
  throttle(times: number): void {
    this.#throttled = times;
  }

  #take(incoming: IncomingMessage, text: string): DoubleAnswer | 'hangs' | 'lost' {
    const url = new URL(incoming.url ?? '/', this.url);
    const method = incoming.method ?? 'GET';
    this.seen.push(`${method} ${url.pathname}${url.search}`);
    if (this.#trouble === 'hangs') return 'hangs';
    if (this.#trouble === 'broken') return { status: 500, body: '<html>oops</html>' };
    if (this.#trouble === 'throttled' || this.#throttled > 0) {
      this.#throttled -= 1;
      return { ...this.#refused(new DoubleRefusal(429, 'TooManyRequests', 'slower')), headers: { 'retry-after': '0' } };
    }
    try {
      return this.#serve(incoming, { url, method, text });
    } catch (error) {
      if (error instanceof DoubleRefusal) return this.#refused(error);
      return { status: 599, body: String((error as Error).stack) };
    }
  }

  #serve({ headers }: IncomingMessage, { url, method, text }: { url: URL; method: string; text: string }): DoubleAnswer | 'lost' {
    const { token } = this.#options;
    if (token !== null && headers.authorization !== `Bearer ${token}`)
      throw new DoubleRefusal(401, 'AuthenticationFailed', 'who are you?');
    const route = this.#routeOf(method, url);
    const changes = method !== 'GET' && route.isRead !== true;
    const loses = changes ? this.#lost() : null;
    if (loses === 'request') return 'lost';
    const names = namesIn(route, url);
    const body = text === '' ? undefined : (JSON.parse(text) as unknown);
    const answer = route.answer({ method, path: url.pathname, names, query: url.searchParams, headers, body });
    return loses === 'answer' ? 'lost' : answer;
  }

  #lost(): 'request' | 'answer' | null {
    const loses = this.#spares === 0 ? this.#loses : null;
    if (this.#spares === 0) this.#loses = null;
    else this.#spares -= 1;
    return loses;
  }

  #routeOf(method: string, url: URL): DoubleRoute {
    const route = this.#options.routes.find((one) => one.method === method && one.path.test(url.pathname));
    if (!route) throw new DoubleRefusal(404, 'NoSuchRoute', `the reference knows no ${method} ${url.pathname}`);
    const unknown = [...url.searchParams.keys()].find((name) => !(route.query ?? []).includes(name));
    if (unknown !== undefined) throw new DoubleRefusal(400, 'InvalidArgument', `unknown parameter ${unknown}`);
    return route;
  }

  #refused({ status, code, message }: DoubleRefusal): DoubleAnswer {
    return { status, body: this.#options.words(status, code, message) };
  }
}

const namesIn = ({ path }: DoubleRoute, { pathname }: URL): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ ...path.exec(pathname)?.groups }).map(([name, value]) => [name, decodeURIComponent(value)]),
  );

/** The body, or the refusal of a field that the reference does not have. */
export function strictly<T>(shape: z.ZodType<T>, body: unknown): T {
  const read = shape.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new DoubleRefusal(400, 'InvalidArgument', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

async function read(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
