import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Logger } from '../../telemetry/logger.ts';
import type { Extender } from './extender.ts';
import { readQuestion, type NodesQuestion } from './read-question.ts';

/** A question names every node that is left, some 60 bytes each. Higher: one caller holds that memory; lower: large clusters are refused. */
const MAX_QUESTION_BYTES = 8 * 1024 * 1024;
/** A question that is not whole by then is given up. Higher: slow callers hold sockets; lower: a busy scheduler is refused. */
const QUESTION_MS = 5_000;
/** At a time; a scheduler keeps a few. Higher: so many questions of that size are held; lower: several schedulers refuse each other. */
const MAX_CONNECTIONS = 32;

export interface ExtenderServerOptions {
  readonly host: string;
  readonly port: number;
  /** Certificate and key (PEM); null = plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly logger: Logger;
  /** Instead of 5 s. */
  readonly questionMs?: number;
  /** Instead of 32. */
  readonly connections?: number;
}

/** `POST /filter` and `POST /prioritize` as a scheduler asks them; `GET /healthz`. It tells prices to whoever asks, and takes no orders. */
export class ExtenderServer {
  readonly #options: ExtenderServerOptions;
  readonly #server: Server;
  readonly #verbs: Readonly<Record<string, (question: NodesQuestion) => unknown>>;

  constructor(extender: Pick<Extender, 'filter' | 'prioritize'>, options: ExtenderServerOptions) {
    this.#options = options;
    this.#verbs = {
      '/filter': (question) => extender.filter(question),
      '/prioritize': (question) => extender.prioritize(question),
    };
    const listener: RequestListener = (request, response) => void this.#respond(request, response);
    const { questionMs = QUESTION_MS, connections = MAX_CONNECTIONS } = options;
    // What is late is looked for now and then, by default every 30 s.
    const times = { requestTimeout: questionMs, headersTimeout: questionMs, connectionsCheckingInterval: questionMs / 5 };
    this.#server = options.tls ? createTlsServer({ ...options.tls, ...times }, listener) : createServer(times, listener);
    this.#server.maxConnections = connections;
  }

  async listen(): Promise<AddressInfo> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    return this.#server.address() as AddressInfo;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeIdleConnections();
    // Once closed, nobody looks for what is late any more.
    const late = setTimeout(() => this.#server.closeAllConnections(), this.#options.questionMs ?? QUESTION_MS);
    await closed;
    clearTimeout(late);
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = await this.#answer(request).catch((error: unknown) => this.#troubleOf(error));
    if (response.destroyed) return;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const path = new URL(request.url ?? '/', 'http://extender').pathname;
    if (request.method === 'GET' && path === '/healthz') return { status: 200, body: { status: 'ok' } };
    const verb = this.#verbs[path];
    if (!verb) throw new BadQuestion(404, 'There are POST /filter, POST /prioritize and GET /healthz.');
    if (request.method !== 'POST') throw new BadQuestion(405, 'Ask by POST.');
    const question = readQuestion(await bodyOf(request));
    if (!question.ok) throw new BadQuestion(400, question.error);
    return { status: 200, body: verb(question.value) };
  }

  #troubleOf(error: unknown): Answer {
    if (error instanceof BadQuestion) return { status: error.status, body: { error: error.message } };
    this.#options.logger.error({ err: error }, 'a question of the scheduler could not be answered');
    return { status: 500, body: { error: 'It could not be answered: see the log of the extender.' } };
  }
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

class BadQuestion extends Error {
  override readonly name = 'BadQuestion';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_QUESTION_BYTES) throw new BadQuestion(413, `A question has at most ${MAX_QUESTION_BYTES} bytes.`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new BadQuestion(400, 'The question is no JSON.');
  }
}
