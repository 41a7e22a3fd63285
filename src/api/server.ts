import { createServer, type IncomingMessage, type Server } from 'node:http';
import { Server as NetServer, type AddressInfo } from 'node:net';
import type { ApolloServer } from '@apollo/server';
import { expressMiddleware } from '@as-integrations/express5';
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Response } from 'express';
import type { GraphQLSchema } from 'graphql';
import type { Clock } from '../kernel/clock.ts';
import { newId } from '../kernel/id.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import type { Database } from '../persistence/database.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ApiMetrics } from './api.metrics.ts';
import { makeApollo } from './apollo.ts';
import { bearerOf, type Authenticator } from './authenticate.ts';
import { CLOSED_POLICY, serveDashboard } from './dashboard.ts';
import { serveEventStream, type Authenticated } from './event-stream.ts';
import type { EventResolver } from './event.resolver.ts';
import { Gatekeeper } from './gatekeeper.ts';
import { OperationContext } from './operation-context.ts';
import { isOutage, OUTAGE_RETRY_MS } from './problem.ts';
import type { OperationSource } from './run-operation.ts';
import { serveWebSocket } from './web-socket.ts';

/** Largest GraphQL request. Higher: parsing a hostile one costs more; lower: generated queries with many variables are refused. */
const MAX_BODY_BYTES = 65_536;

export interface ApiServerDeps {
  readonly schema: GraphQLSchema;
  readonly database: Pick<Database, 'beginRead'>;
  readonly authentication: Authenticator;
  /** What subscriptions to events run on. */
  readonly events: EventResolver;
  /** Handles what is below `/projects` and authenticates by itself; null = there is no registry. */
  readonly artifacts: RequestHandler | null;
  /** Folder of the built dashboard. */
  readonly dashboardDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ApiMetrics;
  /** False until the database is migrated and the loops may run. */
  readonly isReady: () => boolean;
}

/** The whole of a request, the longest upload included. Higher: a body that trickles holds a connection for long; lower: slow lines cut uploads. */
const REQUEST_TIMEOUT_MS = 6 * 3_600_000;

/** A body that nobody waits for is read for so long after its answer. Higher: strangers hold connections; lower: slow callers miss the answer. */
const LINGER_MS = 1_000;
/** Idle connections are kept longer than clients and proxies keep theirs (60 s), so that they close first and no request meets a reset. */
const KEEP_ALIVE_MS = 75_000;
/** Idle connections may send one more request while the API stops. Lower: that request is lost; higher: stopping takes longer. */
const IDLE_GRACE_MS = 1_000;
/** Open connections. Higher: none may be left for the database and for files; lower: honest callers are turned away. */
const MAX_CONNECTIONS = 8_192;

/** The API's one listener: GraphQL on three transports, artifacts, health, dashboard. */
export class ApiServer {
  readonly #deps: ApiServerDeps;
  readonly #http: Server;
  readonly #app: Express = express();
  readonly #gatekeeper: Gatekeeper;
  readonly #apollo: ApolloServer<OperationContext>;
  readonly #ended = new AbortController();
  #closeSockets: () => Promise<void> = () => Promise.resolve();

  constructor(deps: ApiServerDeps) {
    this.#deps = deps;
    this.#http = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS }, this.#app);
    this.#http.maxConnections = MAX_CONNECTIONS;
    this.#gatekeeper = new Gatekeeper(deps.schema, deps.clock);
    this.#apollo = makeApollo({ schema: deps.schema, gatekeeper: this.#gatekeeper, logger: deps.logger, metrics: deps.metrics });
  }

  /** Resolves with the port; 0 asks for any free one. Rejects with the system's error when it is taken. */
  async listen(host: string, port: number): Promise<number> {
    await this.#apollo.start();
    this.#route();
    this.#closeSockets = serveWebSocket(this.#http, {
      schema: this.#deps.schema,
      gatekeeper: this.#gatekeeper,
      authenticator: this.#deps.authentication,
      sourceOf: (principal, signal) => this.#source(principal, signal, this.#newId()),
    });
    return new Promise((resolve, reject) => {
      this.#http.once('error', reject);
      this.#http.listen(port, host, () => resolve((this.#http.address() as AddressInfo).port));
    });
  }

  /**
   * Ends subscriptions and answers on with the wish to be asked elsewhere; after `delayMs`, in which balancers learn of it and busy
   * connections go by themselves, takes no new one, lets requests that run or are just arriving finish, closes.
   */
  async close(delayMs = 0): Promise<void> {
    this.#ended.abort();
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    // Not http's own close: it would cut idle connections at once, and with them a request that is just arriving.
    const closed = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(this.#http, () => resolve());
    });
    // Again and again: an answer that had begun before keeps its connection.
    const sweep = setInterval(() => this.#http.closeIdleConnections(), IDLE_GRACE_MS);
    await this.#closeSockets();
    await closed;
    clearInterval(sweep);
    await this.#apollo.stop();
  }

  #route(): void {
    const { artifacts, authentication, dashboardDir, isReady, schema } = this.#deps;
    const gatekeeper = this.#gatekeeper;
    const app = this.#app.disable('x-powered-by').disable('etag');
    app.use(this.#identify, secureHeaders);
    app.get('/livez', (_request, response) => void response.type('text').send('ok'));
    app.get(
      '/readyz',
      (_request, response) =>
        void response
          .status(isReady() ? 200 : 503)
          .type('text')
          .send(isReady() ? 'ok' : 'starting'),
    );
    const json = express.json({ limit: MAX_BODY_BYTES });
    const sourceOf = this.#source.bind(this);
    // Who it is comes first: nothing that an anonymous caller sent is read or parsed.
    app.use(
      '/graphql/stream',
      this.#authenticate,
      json,
      serveEventStream({ schema, gatekeeper, authenticator: authentication, sourceOf }, authenticatedOf),
    );
    app.use('/graphql', this.#authenticate, json, expressMiddleware(this.#apollo, { context: ({ res }) => this.#context(res) }));
    if (artifacts) app.use('/projects', artifacts);
    app.use(serveDashboard(dashboardDir));
    app.use((_request, response) => sendProblem(response, { status: 404, code: 'NOT_FOUND', message: 'There is no such page.' }));
    app.use(this.#onError);
  }

  /** Every answer has a request id and is counted. */
  readonly #identify: RequestHandler = (request, response, next) => {
    const { clock, metrics } = this.#deps;
    const requestId = this.#newId();
    const started = clock.now();
    response.locals.requestId = requestId;
    response.setHeader('Purser-Request-Id', requestId);
    // A caller that asks again and again on a connection that it keeps would hold up the end for as long as it likes.
    if (this.#ended.signal.aborted) response.setHeader('Connection', 'close');
    response.once('finish', () => linger(request));
    response.once('close', () => {
      metrics.requests.inc({ status: String(response.statusCode) });
      metrics.duration.observe((clock.now() - started) / 1_000);
    });
    next();
  };

  readonly #authenticate: RequestHandler = async (request, response, next) => {
    const bearer = bearerOf(request.headers.authorization);
    const principal = bearer === null ? null : await this.#deps.authentication.authenticate(bearer);
    if (principal) {
      response.locals.principal = principal;
      next();
      return;
    }
    response.setHeader('WWW-Authenticate', 'Bearer');
    sendProblem(response, {
      status: 401,
      code: 'UNAUTHENTICATED',
      message: 'A valid token is needed: Authorization: Bearer <token>.',
    });
  };

  /** A body that cannot be read is the sender's fault; everything else is ours and masked. */
  readonly #onError: ErrorRequestHandler = (error: { status?: number; message?: string }, _request, response, next) => {
    if (response.headersSent) {
      next(error);
      return;
    }
    const problem = error.status === undefined && isOutage(error) ? OUTAGE : problemOfRequest(error.status ?? 500);
    if (problem.status >= 500)
      this.#deps.logger.error({ err: error, requestId: String(response.locals.requestId) }, 'a request failed');
    sendProblem(response, problem);
  };

  #context(response: Response): Promise<OperationContext> {
    const gone = new AbortController();
    const { principal, requestId } = authenticatedOf(response.locals);
    const { clock, database, events } = this.#deps;
    const context = new OperationContext({ database, events, principal, requestId, now: clock.now(), signal: gone.signal });
    response.once('close', () => {
      gone.abort();
      void context.close();
    });
    return Promise.resolve(context);
  }

  #source(principal: Principal, signal: AbortSignal, requestId: string): OperationSource {
    const { clock, database, events, logger } = this.#deps;
    return {
      database,
      events,
      logger,
      principal,
      requestId,
      now: () => clock.now(),
      signal: AbortSignal.any([signal, this.#ended.signal]),
    };
  }

  #newId(): string {
    return newId(this.#deps.clock.now(), this.#deps.random);
  }
}

/** Who was answered before the body was whole, a stranger in most cases, must not hold the connection with the rest of it. */
function linger(request: IncomingMessage): void {
  if (request.complete) return;
  const { socket } = request;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  const stop = (): void => {
    clearTimeout(timer);
    socket.off('close', stop);
  };
  request.once('end', stop);
  socket.once('close', stop);
  request.resume();
}

/** What authentication left behind; only called below it. */
const authenticatedOf = (locals: object): Authenticated => locals as Authenticated;

interface Problem {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** What an operation cannot tell itself, because it was not let in: the database that knows the token is away. */
const OUTAGE: Problem = {
  status: 503,
  code: 'UNAVAILABLE',
  message: 'What is behind this cannot be reached: repeat in a moment.',
  retryAfterMs: OUTAGE_RETRY_MS,
};

function problemOfRequest(status: number): Problem {
  if (status === 413) return { status, code: 'LIMIT_EXCEEDED', message: `The body must be at most ${MAX_BODY_BYTES} bytes.` };
  if (status >= 400 && status < 500) return { status, code: 'BAD_REQUEST', message: 'The request cannot be read.' };
  return {
    status: 500,
    code: 'INTERNAL_SERVER_ERROR',
    message: 'Something went wrong here; the request id leads to the reason in the log.',
  };
}

function sendProblem(response: Response, { status, code, message, retryAfterMs }: Problem): void {
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (retryAfterMs !== undefined) response.setHeader('Retry-After', String(Math.ceil(retryAfterMs / 1_000)));
  const extensions = { code, requestId: String(response.locals.requestId), ...retry };
  response.status(status).json({ errors: [{ message, extensions }] });
}

const secureHeaders: RequestHandler = (_request, response, next) => {
  response.setHeader('Content-Security-Policy', CLOSED_POLICY);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Referrer-Policy', 'no-referrer');
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
  next();
};
