import { PurserRefusal, PurserUnavailable, type GraphQLFault } from './errors.ts';

/** A document that knows the types of its answer and variables; the generated `graphql()` makes them. */
export interface TypedDocument<TResult, TVariables> {
  toString(): string;
  __apiType?: (variables: TVariables) => TResult;
}

export interface PurserClientOptions {
  /** Base URL of the API, for example `http://127.0.0.1:4000`. */
  readonly url: string;
  readonly token: string;
  /** Aborts every call that is still running after this long. Default 30 s. */
  readonly timeoutMs?: number;
}

interface Answer<T> {
  readonly data?: T | null;
  readonly errors?: readonly GraphQLFault[];
}

/** Speaks to one Purser. Throws `PurserRefusal` for what the server refused and `PurserUnavailable` when nobody answered. */
export class PurserClient {
  readonly #options: PurserClientOptions;

  constructor(options: PurserClientOptions) {
    this.#options = options;
  }

  get url(): string {
    return this.#options.url;
  }

  /** Runs a query or mutation and returns its data. */
  async request<TResult, TVariables>(document: TypedDocument<TResult, TVariables>, variables: TVariables): Promise<TResult> {
    const body = JSON.stringify({ query: document.toString(), variables });
    const response = await this.#fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body,
    });
    const answer = (await response.json()) as Answer<TResult>;
    if (answer.errors?.length || !answer.data) throw PurserRefusal.fromGraphQL(answer.errors ?? [], response.status);
    return answer.data;
  }

  /**
   * Follows a subscription over server-sent events, one item per message, until the server ends it or the signal aborts. Going on
   * after a break is the caller's business: pass the last cursor.
   */
  async *subscribe<TResult, TVariables>(
    document: TypedDocument<TResult, TVariables>,
    variables: TVariables,
    signal: AbortSignal,
  ): AsyncGenerator<TResult> {
    const response = await this.#fetch(
      '/graphql/stream',
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
        body: JSON.stringify({ query: document.toString(), variables }),
      },
      signal,
    );
    for await (const message of readMessages(response)) {
      if (message.event === 'complete') return;
      const answer = JSON.parse(message.data) as Answer<TResult>;
      if (answer.errors?.length || !answer.data) throw PurserRefusal.fromGraphQL(answer.errors ?? [], response.status);
      yield answer.data;
    }
  }

  /** Sends the bytes of an artifact to a project (`team/project`). Sending the same bytes again changes nothing. */
  async uploadArtifact(project: string, digest: string, bytes: Uint8Array): Promise<void> {
    const response = await this.#fetch(`/projects/${project}/artifacts/${digest}`, { method: 'PUT', body: Buffer.from(bytes) });
    if (!response.ok) throw new PurserRefusal(`Upload refused: ${await reasonOf(response)}`, 'UPLOAD_REFUSED', response.status);
  }

  async #fetch(path: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
    const { url, token, timeoutMs = 30_000 } = this.#options;
    const headers = { ...init.headers, authorization: `Bearer ${token}` };
    try {
      const response = await fetch(new URL(path, url), { ...init, headers, signal: signal ?? AbortSignal.timeout(timeoutMs) });
      if (response.status === 401) throw new PurserRefusal('The token is unknown, expired or revoked.', 'UNAUTHENTICATED', 401);
      return response;
    } catch (error) {
      if (error instanceof PurserRefusal || signal?.aborted) throw error;
      throw new PurserUnavailable(`No answer from ${url}: ${reasonFor(error)}`, { cause: error });
    }
  }
}

function reasonFor(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && 'code' in cause) return String(cause.code);
  return error instanceof Error ? error.message : String(error);
}

async function reasonOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return (JSON.parse(text) as { error?: string }).error ?? text;
  } catch {
    return text || `status ${response.status}`;
  }
}

interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/** The messages of an event stream (WHATWG "Server-sent events"); comments and empty messages are passed over. */
async function* readMessages(response: Response): AsyncGenerator<ServerSentEvent> {
  if (!response.body) return;
  const decoder = new TextDecoder();
  let pending = '';
  for await (const chunk of response.body) {
    pending += decoder.decode(chunk as Uint8Array, { stream: true });
    const messages = pending.split('\n\n');
    pending = messages.pop() ?? '';
    for (const text of messages) {
      const message = parseMessage(text);
      if (message) yield message;
    }
  }
}

function parseMessage(text: string): ServerSentEvent | null {
  const lines = text.split('\n');
  const field = (name: string) => lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim());
  const event = field('event')[0] ?? 'message';
  const data = field('data').join('\n');
  return event === 'complete' || data ? { event, data } : null;
}
