import { request } from 'undici';
import type { z } from 'zod';
import type { Random } from '../kernel/random.ts';
import { CloudUnknown } from './cloud-provider.port.ts';
import { NoCredentials, RestRefused } from './rest-errors.ts';

/** How long and how often a provider is asked. */
export interface RestLimits {
  /** For the whole answer of one try, in ms. Higher: a provider that hangs holds up its pools; lower: slow lists never come. */
  readonly timeoutMs: number;
  /** Of one call. Higher: an overloaded provider is asked more; lower: one hiccup leaves a whole reading unknown. */
  readonly tries: number;
  /** A `Retry-After` beyond this is the caller's business, in ms. Higher: calls hang on; lower: short overloads leave things unknown. */
  readonly maxRetryAfterMs: number;
  /** Of one answer. Higher: memory; lower: large pages are refused. */
  readonly maxBytes: number;
  /** Of one list. Higher: a list without an end is read for long; lower: large accounts cannot be read. */
  readonly maxPages: number;
  /** Of all pages of one list together. Higher: memory; lower: large accounts cannot be read. */
  readonly maxListBytes: number;
}

export const REST_LIMITS: RestLimits = {
  ...{ timeoutMs: 30_000, tries: 4, maxRetryAfterMs: 20_000 },
  ...{ maxBytes: 64 * 1024 * 1024, maxPages: 1_000, maxListBytes: 256 * 1024 * 1024 },
};

/** The first wait where the provider says nothing; each further one is twice as long. */
const FIRST_WAIT_MS = 500;
/** What of an answer that is not understood is told. */
const MAX_WORDS = 300;

export interface RestClientOptions {
  /** Where the API is; a path is put behind it, and answers may name no other host. */
  readonly endpoint: string;
  /** Null = the API asks for none. */
  readonly token: (() => Promise<string>) | null;
  readonly random: Random;
  readonly limits?: Partial<RestLimits>;
  /** Numbers are handed on as they are written, as text: money. */
  readonly numbersAsText?: boolean;
  /** How to wait, in ms; tests do not. */
  readonly pause?: (ms: number) => Promise<void>;
}

export interface RestCall {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Behind the endpoint, or a whole address that an answer named. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** A POST that only asks: it may be repeated when no answer comes. */
  readonly isRead?: boolean;
}

export interface RestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Null without a body. */
  readonly body: unknown;
  /** Of the body, as it came. */
  readonly bytes: number;
}

/**
 * Asks a provider's REST API. What did not come in time, was throttled to the end or is broken is `CloudUnknown`; other refusals are answers. A call
 * that changes something is repeated only when the provider turned it away unread (429).
 */
export class RestClient {
  readonly #options: RestClientOptions;
  readonly limits: RestLimits;

  constructor(options: RestClientOptions) {
    this.#options = options;
    this.limits = { ...REST_LIMITS, ...options.limits };
  }

  async send(call: RestCall): Promise<RestAnswer> {
    for (let tried = 1; ; tried += 1) {
      const outcome = await this.#once(call).catch((error: unknown) => error as Error);
      const wait = tried < this.limits.tries ? this.#waitBeforeRepeat(call, outcome, tried) : null;
      if (wait !== null) await this.pause(wait);
      else if (outcome instanceof Error) throw unknownOf(call, outcome);
      else if (isTrouble(outcome.status)) throw new CloudUnknown(`${nameOf(call)}: ${toldBy(outcome)}`);
      else return outcome;
    }
  }

  /** The answer, checked. Every refusal is `CloudUnknown`: for questions that a provider that works answers. */
  async ask<T>(call: RestCall, shape: z.ZodType<T>): Promise<T> {
    return readAs(call, await this.#answered(call), shape);
  }

  async #answered(call: RestCall): Promise<RestAnswer> {
    const answer = await this.send(call);
    if (answer.status < 200 || answer.status > 299) throw refused(call, answer);
    return answer;
  }

  /** Like `ask`; null for what is not there. */
  async askIfThere<T>(call: RestCall, shape: z.ZodType<T>): Promise<T | null> {
    const answer = await this.send(call);
    if (answer.status === 404) return null;
    if (answer.status < 200 || answer.status > 299) throw refused(call, answer);
    return readAs(call, answer, shape);
  }

  /**
   * All pages of a list. `next` says how to ask for the page after one; null = that was the last. A page that leads to one that was read already,
   * and a list without an end or too large for memory, are `CloudUnknown`.
   */
  async pages<P>(first: RestCall, shape: z.ZodType<P>, next: (page: P) => RestCall | null): Promise<P[]> {
    const pages: P[] = [];
    const asked = new Set<string>();
    let bytes = 0;
    for (let call: RestCall | null = first; call; call = next(pages.at(-1) as P)) {
      const address = JSON.stringify([call.path, call.query, call.body]);
      if (asked.has(address)) throw new CloudUnknown(`${nameOf(call)}: a page of the list leads back to itself`);
      if (asked.size >= this.limits.maxPages) throw new CloudUnknown(`${nameOf(call)}: the list has no end`);
      asked.add(address);
      const answer = await this.#answered(call);
      bytes += answer.bytes;
      if (bytes > this.limits.maxListBytes)
        throw new CloudUnknown(`${nameOf(call)}: the list is larger than ${this.limits.maxListBytes} bytes`);
      pages.push(readAs(call, answer, shape));
    }
    return pages;
  }

  pause(ms: number): Promise<void> {
    return this.#options.pause?.(ms) ?? new Promise((resolve) => setTimeout(resolve, ms));
  }

  /** Null = not again, or not by us. */
  #waitBeforeRepeat(call: RestCall, outcome: RestAnswer | Error, tried: number): number | null {
    if (!mayRepeat(call, outcome)) return null;
    const wait = FIRST_WAIT_MS * 2 ** (tried - 1) * (0.5 + this.#options.random.fraction() / 2);
    const asked = outcome instanceof Error ? Number.NaN : Number(outcome.headers['retry-after'] ?? Number.NaN) * 1_000;
    if (!Number.isFinite(asked)) return wait;
    return asked <= this.limits.maxRetryAfterMs ? Math.max(asked, wait) : null;
  }

  async #once(call: RestCall): Promise<RestAnswer> {
    const { method = 'GET', body } = call;
    const url = this.#urlOf(call);
    const headers = await this.#headersOf(call);
    const signal = AbortSignal.timeout(this.limits.timeoutMs);
    try {
      const sent = body === undefined ? null : JSON.stringify(body);
      const answer = await request(url, { method, headers, body: sent, signal });
      const { text, bytes } = await this.#textOf(answer.body);
      return { status: answer.statusCode, headers: flat(answer.headers), body: this.#parse(text, answer.statusCode), bytes };
    } catch (error) {
      if (error instanceof CloudUnknown) throw error;
      const words = signal.aborted ? `no answer within ${this.limits.timeoutMs} ms` : (error as Error).message;
      throw new NoAnswer(words, { cause: error });
    }
  }

  #urlOf({ path, query = {} }: RestCall): URL {
    const { endpoint } = this.#options;
    const url = new URL(/^https?:/.test(path) ? path : `${endpoint.replace(/\/$/, '')}${path}`);
    // The token goes where it was meant for.
    if (url.origin !== new URL(endpoint).origin) throw new CloudUnknown(`an answer leads to another host, ${url.host}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }

  async #headersOf({ headers, body }: RestCall): Promise<Record<string, string>> {
    const { token } = this.#options;
    return {
      ...{ accept: 'application/json', 'user-agent': 'purser' },
      ...(token ? { authorization: `Bearer ${await this.#tokenOf(token)}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    };
  }

  async #tokenOf(token: () => Promise<string>): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`none within ${this.limits.timeoutMs} ms`)), this.limits.timeoutMs);
    });
    try {
      return await Promise.race([token(), late]);
    } catch (error) {
      throw new NoCredentials(
        `there are no credentials: ${firstLine((error as Error).message)} docs/operations.md says where they are looked for.`,
        {
          cause: error,
        },
      );
    } finally {
      clearTimeout(timer);
    }
  }

  async #textOf(body: AsyncIterable<Buffer>): Promise<{ readonly text: string; readonly bytes: number }> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > this.limits.maxBytes) throw new CloudUnknown(`the answer is larger than ${this.limits.maxBytes} bytes`);
      chunks.push(chunk);
    }
    return { text: Buffer.concat(chunks).toString('utf8'), bytes };
  }

  /** Proxies tell of trouble in HTML: the status counts then. */
  #parse(text: string, status: number): unknown {
    if (text.trim() === '') return null;
    try {
      return this.#options.numbersAsText ? JSON.parse(text, asWritten) : JSON.parse(text);
    } catch (error) {
      if (status > 299) return text.slice(0, MAX_WORDS);
      throw new NoAnswer('the answer is no JSON', { cause: error });
    }
  }
}

/** No whole answer came. */
class NoAnswer extends Error {}

const isRead = ({ method = 'GET', isRead: said = false }: RestCall): boolean => method === 'GET' || said;
/** What was turned away for overload had no effect; what failed or broke under way may have had one. */
function mayRepeat(call: RestCall, outcome: RestAnswer | Error): boolean {
  if (outcome instanceof Error) return outcome instanceof NoAnswer && isRead(call);
  return outcome.status === 429 || (outcome.status >= 500 && isRead(call));
}

const isTrouble = (status: number): boolean => status === 429 || status >= 500;
const refused = (call: RestCall, answer: RestAnswer): RestRefused =>
  new RestRefused(answer.status, `${nameOf(call)}: ${toldBy(answer)}`);

const nameOf = ({ method = 'GET', path }: RestCall): string => `${method} ${path.replace(/\?.*/, '') || '/'}`;

/** Whoever looks in many places says a line of each. */
const firstLine = (text: string): string => `${(text.split('\n')[0] ?? '').trim().replace(/\.?$/, '')}.`;

function unknownOf(call: RestCall, error: Error): Error {
  if (error instanceof CloudUnknown) return error;
  if (error instanceof NoAnswer) return new CloudUnknown(`${nameOf(call)}: ${error.message}`, { cause: error });
  return error;
}

function readAs<T>(call: RestCall, { body }: RestAnswer, shape: z.ZodType<T>): T {
  const read = shape.safeParse(body);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new CloudUnknown(
    `${nameOf(call)}: the answer is not as documented: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`,
  );
}

/** Status and the provider's own words, without any of ours. */
function toldBy({ status, body }: RestAnswer): string {
  return `it answered ${status} ${textOf(body).slice(0, MAX_WORDS)}`;
}

function textOf(body: unknown): string {
  try {
    return typeof body === 'string' ? body : JSON.stringify(body ?? '');
  } catch {
    // What is nested too deeply can be read, and not be written.
    return 'in words that cannot be told';
  }
}

const flat = (headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => {
      const one = Array.isArray(value) ? value[0] : value;
      return one === undefined ? [] : [[name, one]];
    }),
  );

const asWritten = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === 'number' ? (context?.source ?? String(value)) : value;
