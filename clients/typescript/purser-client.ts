import { setTimeout as sleep } from 'node:timers/promises';
import type { ArtifactSource } from './artifact-file.ts';
import { errorOf, PurserRefusal, PurserUnavailable, type GraphQLFault } from './errors.ts';
import { readServerSentEvents } from './server-sent-events.ts';

/** A document that knows the types of its answer and variables; the generated `graphql()` makes them. */
export interface TypedDocument<TResult, TVariables> {
  toString(): string;
  __apiType?: (variables: TVariables) => TResult;
}

export interface PurserClientOptions {
  /** Base URL of the API, for example `http://127.0.0.1:4000`. */
  readonly url: string;
  readonly token: string;
  /** Aborts a call that is still running after this long, in ms. Default 30 s; streams and uploads have none. */
  readonly timeoutMs?: number;
}

interface Answer<T> {
  readonly data?: T | null;
  readonly errors?: readonly GraphQLFault[];
}

export interface FollowOptions<TResult> {
  /** Position of an item; the stream goes on behind the last one after a break. */
  readonly cursorOf: (item: TResult) => string;
  readonly signal: AbortSignal;
  /** Told of each break before the next try. */
  readonly onBreak?: (error: PurserUnavailable) => void;
}

export interface InferRequest {
  /** Path below the endpoint, for example `v2/models/digits/infer`. */
  readonly route: string;
  readonly body: string;
  /** Default `application/json`. */
  readonly contentType?: string;
}

export interface InferAnswer {
  readonly status: number;
  readonly text: string;
  readonly requestId: string | null;
  readonly revision: string | null;
  /** USD as an exact decimal; null where the replica has no price. */
  readonly cost: string | null;
}

/** First wait after a break, in ms; it doubles up to the longest. */
const FIRST_WAIT_MS = 100;
/** Longest wait between two tries to go on. Higher: late news; lower: a dead server is asked too often. */
const LONGEST_WAIT_MS = 5_000;
/** Silence after which a stream counts as broken; heartbeats come every 5 s. Higher: a dead server is noticed late; lower: a slow one is left. */
const SILENCE_MS = 30_000;
/** Tries to send one artifact; each goes on where the last one broke. Higher: a dead store is asked for longer; lower: one bad minute ends it. */
const UPLOAD_TRIES = 5;

/** Speaks to one Purser. Throws `PurserRefusal` for what the server refused and `PurserUnavailable` when nobody answered. */
export class PurserClient {
  readonly #options: PurserClientOptions;

  constructor(options: PurserClientOptions) {
    this.#options = options;
  }

  get url(): string {
    return this.#options.url;
  }

  /** Runs a query or mutation and returns its data; plain text is a document too, without types. */
  async request<TResult, TVariables>(
    document: TypedDocument<TResult, TVariables>,
    variables: TVariables = {} as TVariables,
  ): Promise<TResult> {
    const response = await this.#fetch('/graphql', post(document, variables, 'application/json'), this.#deadline());
    return dataOf((await this.#json(response)) as Answer<TResult>, response.status);
  }

  /** One connection of a subscription, one item per message, until the server ends it or the signal aborts. */
  async *subscribe<TResult, TVariables>(
    document: TypedDocument<TResult, TVariables>,
    variables: TVariables,
    signal: AbortSignal,
  ): AsyncGenerator<TResult> {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(new Error('it fell silent')), SILENCE_MS);
    try {
      const response = await this.#fetch(
        '/graphql/stream',
        post(document, variables, 'text/event-stream'),
        AbortSignal.any([signal, silence.signal]),
      );
      if (!isEventStream(response)) {
        dataOf((await this.#json(response)) as Answer<TResult>, response.status);
        return;
      }
      for await (const message of readServerSentEvents(this.#chunks(response))) {
        timer.refresh();
        if (message.event === 'complete') return;
        yield dataOf(JSON.parse(message.data) as Answer<TResult>, response.status);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * A subscription that takes `after`, without an end: when the connection breaks, it goes on behind the last item. Throws only what
   * the server refused.
   */
  async *follow<TResult, TVariables extends { after?: string | null }>(
    document: TypedDocument<TResult, TVariables>,
    variables: TVariables,
    { cursorOf, signal, onBreak }: FollowOptions<TResult>,
  ): AsyncGenerator<TResult> {
    let after = variables.after ?? null;
    for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
      try {
        for await (const item of this.subscribe(document, { ...variables, after }, signal)) {
          wait = FIRST_WAIT_MS;
          after = cursorOf(item);
          yield item;
        }
      } catch (error) {
        if (isAborted(signal)) return;
        if (!(error instanceof PurserUnavailable)) throw error;
        onBreak?.(error);
      }
      await pause(wait, signal);
    }
  }

  /** Sends an artifact to a project (`team/project`) and goes on after breaks. Sending the same bytes again changes nothing. */
  async uploadArtifact(project: string, source: ArtifactSource): Promise<void> {
    const path = `/projects/${project}/artifacts/${source.digest}`;
    for (let left = UPLOAD_TRIES; ; left -= 1) {
      try {
        const offset = await this.#storedBytes(path);
        if (offset !== null) await this.#send(path, source, offset);
        return;
      } catch (error) {
        if (!(error instanceof PurserUnavailable) || left === 1) throw error;
        await pause(FIRST_WAIT_MS, undefined);
      }
    }
  }

  /** One request through the router with this client's token; `endpoint` is the deployment's `endpoint.url`. Any status is an answer. */
  async infer(endpoint: string, { route, body, contentType = 'application/json' }: InferRequest): Promise<InferAnswer> {
    const url = `${endpoint.replace(/\/$/, '')}/${route.replace(/^\//, '')}`;
    const init = {
      method: 'POST',
      headers: { 'content-type': contentType, authorization: `Bearer ${this.#options.token}` },
      body,
    };
    try {
      const response = await fetch(url, { ...init, signal: this.#deadline() });
      const header = (name: string) => response.headers.get(name);
      const stamps = { requestId: header('purser-request-id'), revision: header('purser-revision'), cost: header('purser-cost') };
      return { status: response.status, text: await response.text(), ...stamps };
    } catch (error) {
      throw new PurserUnavailable(`No answer from the router at ${url}: ${reasonFor(error)}`, { cause: error });
    }
  }

  /** How many bytes of it the server has; null once it has all. */
  async #storedBytes(path: string): Promise<number | null> {
    const response = await this.#fetch(path, { method: 'HEAD' }, this.#deadline());
    if (response.status === 200) return null;
    return Number(response.headers.get('upload-offset') ?? 0);
  }

  async #send(path: string, { sizeBytes, open }: ArtifactSource, offset: number): Promise<void> {
    const whole = { method: 'PUT', body: new Uint8Array() };
    const range = {
      'content-range': `bytes ${offset}-${sizeBytes - 1}/${sizeBytes}`,
      'content-type': 'application/octet-stream',
    };
    const rest = { method: 'PUT', headers: range, body: ReadableStream.from(open(offset)), duplex: 'half' as const };
    const response = await this.#fetch(path, sizeBytes === 0 ? whole : rest, null);
    if (response.ok) return;
    const { error, code } = (await this.#json(response)) as { error?: string; code?: string };
    throw new PurserRefusal(`Upload refused: ${error ?? `status ${response.status}`}`, code ?? 'UPLOAD_REFUSED', response.status);
  }

  async #fetch(path: string, init: RequestInit, signal: AbortSignal | null): Promise<Response> {
    const { url, token } = this.#options;
    try {
      const headers = new Headers(init.headers);
      headers.set('authorization', `Bearer ${token}`);
      const response = await fetch(new URL(path, url), { ...init, headers, signal });
      if (response.status === 401) throw new PurserRefusal('The token is unknown, expired or revoked.', 'UNAUTHENTICATED', 401);
      return response;
    } catch (error) {
      throw error instanceof PurserRefusal ? error : this.#unavailable(error);
    }
  }

  /** The body of an answer; one that is cut or no JSON counts as no answer. */
  async #json(response: Response): Promise<unknown> {
    try {
      return await response.json();
    } catch (error) {
      throw this.#unavailable(error instanceof SyntaxError ? new Error(`status ${response.status} without JSON`) : error);
    }
  }

  async *#chunks(response: Response): AsyncGenerator<Uint8Array> {
    if (!response.body) return;
    try {
      yield* response.body as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  #deadline(): AbortSignal {
    return AbortSignal.timeout(this.#options.timeoutMs ?? 30_000);
  }

  #unavailable(cause: unknown): PurserUnavailable {
    return new PurserUnavailable(`No answer from ${this.#options.url}: ${reasonFor(cause)}.`, { cause });
  }
}

const post = (document: { toString(): string }, variables: unknown, accept: string): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', accept },
  body: JSON.stringify({ query: document.toString(), variables }),
});

function dataOf<T>({ data, errors }: Answer<T>, status: number): T {
  if (errors?.length || !data) throw errorOf(errors ?? [], status);
  return data;
}

/** Read anew: it changes while the stream is awaited. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted;

const isEventStream = (response: Response): boolean =>
  response.headers.get('content-type')?.startsWith('text/event-stream') ?? false;

function reasonFor(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && 'code' in cause) return String(cause.code);
  return error instanceof Error ? error.message : String(error);
}

/** Waits; the signal ends the wait early. */
const pause = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);
