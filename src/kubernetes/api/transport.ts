import { request } from 'undici';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import { backoffMs } from '../../reconcile/backoff.ts';
import type { Credentials, SignIn } from './credentials.ts';
import { KubernetesError, KubernetesUnreachable } from './errors.ts';
import { InFlight } from './in-flight.ts';
import { readAnswer, refusal, jsonObject, type Answer } from './read-answer.ts';

/** Calls of one cluster at a time. Higher: a burst is answered with 429 by the server's fairness; lower: a rebuild takes longer. */
const MAX_IN_FLIGHT = 16;
/** Tries of one call. Higher: an overloaded server is asked more; lower: one hiccup fails a whole reconciliation. */
const MAX_TRIES = 3;
/** A `Retry-After` beyond this is the caller's business. Higher: calls hang on; lower: short overloads are reported as outages. */
const MAX_RETRY_AFTER_MS = 3_000;
/** Between tries where the server says nothing. */
const BACKOFF = { baseMs: 100, maxMs: 1_000 };
/** No answer is larger; a page of the largest objects is. Higher: memory; lower: large lists fail. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;

/** How audit logs know us. */
const USER_AGENT = 'purser';

export interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** For the whole answer of one try. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface TransportDeps {
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly random: Random;
}

/** An answer whose body still flows. */
export interface OpenAnswer {
  readonly body: AsyncIterable<Buffer>;
  /** Ends it; the iteration throws the reason. */
  abort(reason: Error): void;
  close(): void;
}

/** One place for sign-in, timeouts, repeats and the meaning of answers. */
export class Transport {
  readonly #deps: TransportDeps;
  readonly #inFlight = new InFlight(MAX_IN_FLIGHT);

  constructor(deps: TransportDeps) {
    this.#deps = deps;
  }

  /** The answer as JSON object. Throws `KubernetesError`, `KubernetesUnreachable`, or the signal's reason. */
  async json(call: Call): Promise<Readonly<Record<string, unknown>>> {
    return this.#tries(call, (answer) => readAnswer(answer, this.#deps.clock.now()));
  }

  /** The answer as text. Throws like `json`. */
  async text(call: Call): Promise<string> {
    return this.#tries(call, (answer) => {
      if (answer.status < 200 || answer.status > 299) throw this.#refusal(answer);
      return answer.text;
    });
  }

  /** An answer that goes on; only the time to its headers is limited. Throws like `json`. */
  async open(call: Call): Promise<OpenAnswer> {
    return this.#limited(call, () =>
      this.#signedIn(async (signIn) => {
        const exchange = new Exchange(call);
        try {
          const { status, retryAfter, body } = await exchange.start(signIn);
          if (status < 200 || status > 299)
            throw this.#refusal({ path: call.path, status, retryAfter, text: await exchange.read(body) });
          exchange.disarm();
          return { body: exchange.flow(body), abort: (reason) => exchange.abort(reason), close: () => exchange.close() };
        } catch (error) {
          exchange.close();
          throw exchange.meaning(error);
        }
      }),
    );
  }

  #refusal(answer: Answer): Error {
    return refusal(answer, jsonObject(answer.text), this.#deps.clock.now());
  }

  async #tries<T>(call: Call, read: (answer: Answer) => T): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        return await this.#limited(call, () => this.#signedIn(async (signIn) => read(await exchangeOnce(call, signIn))));
      } catch (error) {
        const wait = tried < MAX_TRIES ? this.#waitBeforeRepeat(call, error, tried) : null;
        if (wait === null) throw error;
        await pause(wait, call.signal);
      }
    }
  }

  /** Null = not to be repeated, or not by us. */
  #waitBeforeRepeat(call: Call, error: unknown, tried: number): number | null {
    if (!mayRepeat(call, error)) return null;
    const wait = backoffMs(tried, BACKOFF, this.#deps.random);
    const asked = (error instanceof KubernetesError ? error.retryAfterMs : null) ?? wait;
    return asked <= MAX_RETRY_AFTER_MS ? Math.max(asked, wait) : null;
  }

  async #limited<T>(call: Call, body: () => Promise<T>): Promise<T> {
    const leave = await this.#inFlight.enter(call.signal);
    try {
      return await body();
    } finally {
      leave();
    }
  }

  /** Once more with new credentials when those that were sent are refused: a token may end between two reads of its source. */
  async #signedIn<T>(body: (signIn: SignIn) => Promise<T>): Promise<T> {
    const { credentials } = this.#deps;
    const signIn = await credentials.current();
    try {
      return await body(signIn);
    } catch (error) {
      if (error instanceof KubernetesUnreachable && error.kind === 'connection') credentials.doubted();
      if (!(error instanceof KubernetesError) || error.status !== 401) throw error;
      credentials.refused(signIn);
      return body(await credentials.current());
    }
  }
}

/**
 * What the server turned away for overload had no effect and may be repeated whatever it was; what it failed at, or what broke under way,
 * only if it reads. A timeout has cost enough.
 */
function mayRepeat(call: Call, error: unknown): boolean {
  if (error instanceof KubernetesUnreachable) return call.method === 'GET' && error.kind === 'connection';
  if (!(error instanceof KubernetesError) || error.heldByDisruptionBudget) return false;
  return error.status === 429 || (error.status >= 500 && call.method === 'GET');
}

async function exchangeOnce(call: Call, signIn: SignIn): Promise<Answer> {
  const exchange = new Exchange(call);
  try {
    const { status, retryAfter, body } = await exchange.start(signIn);
    return { path: call.path, status, retryAfter, text: await exchange.read(body) };
  } catch (error) {
    throw exchange.meaning(error);
  } finally {
    exchange.close();
  }
}

/** One request and its answer, ended by time or by the caller. */
class Exchange {
  readonly #call: Call;
  readonly #end = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #onAbort = (): void => this.#end.abort(this.#call.signal?.reason);

  constructor(call: Call) {
    this.#call = call;
    this.#timer = setTimeout(() => {
      this.#end.abort(new KubernetesUnreachable('timeout', `${call.method} ${call.path}: no answer within ${call.timeoutMs} ms`));
    }, call.timeoutMs);
    if (call.signal?.aborted) this.#onAbort();
    call.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  async start({
    server,
    headers,
    dispatcher,
  }: SignIn): Promise<{ status: number; retryAfter: string | null; body: AsyncIterable<Buffer> }> {
    const { method, path, query, body, contentType = 'application/json' } = this.#call;
    const answer = await request(`${server}${path}${queryOf(query)}`, {
      dispatcher,
      method,
      headers: {
        accept: 'application/json',
        'user-agent': USER_AGENT,
        ...headers,
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: this.#end.signal,
    });
    // Whoever reads it is told; nobody may be reading when it is aborted.
    answer.body.on('error', () => undefined);
    const retryAfter = answer.headers['retry-after'];
    return { status: answer.statusCode, retryAfter: typeof retryAfter === 'string' ? retryAfter : null, body: answer.body };
  }

  async read(body: AsyncIterable<Buffer>): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) throw new KubernetesUnreachable('garbage', `the answer is larger than ${MAX_BODY_BYTES} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  async *flow(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    try {
      yield* body;
    } catch (error) {
      throw this.meaning(error);
    } finally {
      this.close();
    }
  }

  /** The headers are there; from now on only the caller ends it. */
  disarm(): void {
    clearTimeout(this.#timer);
  }

  abort(reason: Error): void {
    this.#end.abort(reason);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#call.signal?.removeEventListener('abort', this.#onAbort);
  }

  /** Why it really ended: our own reason before what the connection says. */
  meaning(error: unknown): unknown {
    if (this.#end.signal.aborted) return this.#end.signal.reason;
    if (error instanceof KubernetesError || error instanceof KubernetesUnreachable) return error;
    const { method, path } = this.#call;
    return new KubernetesUnreachable('connection', `${method} ${path}: ${(error as Error).message}`, error);
  }
}

function queryOf(query: Call['query']): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  return given.length === 0
    ? ''
    : `?${new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)])).toString()}`;
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
  });
}
