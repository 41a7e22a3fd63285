import type { Server } from 'node:http';
import { GraphQLError, type ExecutionArgs, type GraphQLSchema } from 'graphql';
import { useServer, type Extra } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import type { Principal } from '../kernel/principal.ts';
import { bearerOf, watchToken, type Authenticator } from './authenticate.ts';
import { tooManyStreams, type Gatekeeper } from './gatekeeper.ts';
import { isOutage, problemOf } from './problem.ts';
import { MAX_SOCKETS_PER_TOKEN } from './slots.ts';
import { runOnce, subscribeLive, type OperationSource } from './run-operation.ts';

/** Largest message, as for HTTP. Higher lets one frame cost much memory; lower refuses honest documents. */
const MAX_PAYLOAD_BYTES = 65_536;
/** Operations at once on one socket. Higher: one socket holds many buffers; lower: a dashboard needs several sockets. */
const MAX_PER_SOCKET = 50;
/** How long a socket may stay silent before it says who it is, in ms. Higher: strangers hold sockets for longer. */
const INIT_TIMEOUT_MS = 5_000;
/** Close code of graphql-transport-ws for "who are you". */
const UNAUTHORIZED = 4_401;
/** Close code of RFC 6455's registry, on which clients come back after a while. */
const TRY_AGAIN_LATER = 1_013;

export interface SocketDeps {
  readonly schema: GraphQLSchema;
  readonly gatekeeper: Gatekeeper;
  readonly authenticator: Authenticator;
  /** What every operation runs with, but for who asks. */
  readonly sourceOf: (principal: Principal, signal: AbortSignal) => OperationSource;
}

/** What a socket has once its token was accepted. */
interface Session {
  readonly principal: Principal;
  readonly closed: AbortController;
  readonly unwatch: () => void;
}

interface SessionExtra extends Record<PropertyKey, unknown> {
  session?: Session;
}

/** graphql-transport-ws on `/graphql` of this server. Returns how to close every socket. */
export function serveWebSocket(http: Server, deps: SocketDeps): () => Promise<void> {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_PAYLOAD_BYTES });
  http.on('upgrade', (request, socket, head) => {
    const path = (request.url ?? '').split('?')[0];
    const refused =
      path !== '/graphql' ? '404 Not Found' : isForeign(request.headers.origin, request.headers.host) ? '403 Forbidden' : null;
    if (refused)
      return void socket.end(`HTTP/1.1 ${refused}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
    sockets.handleUpgrade(request, socket, head, (client) => {
      sockets.emit('connection', client, request);
      // The library would print a stack for every frame that a stranger breaks; the socket closes itself with the right code.
      client.removeAllListeners('error').on('error', () => client.terminate());
    });
  });
  const server = useServer<Record<string, unknown>, SessionExtra>(
    {
      // Else the library tells whoever is connected what went wrong inside.
      isProd: true,
      connectionInitWaitTimeout: INIT_TIMEOUT_MS,
      onConnect: ({ connectionParams, extra }) => openSession(deps, extra, connectionParams?.['authorization']),
      onDisconnect: ({ extra }) => endSession(extra.session),
      onSubscribe: ({ extra, subscriptions }, _id, asked) => {
        if (!extra.session) return [new GraphQLError('Say who you are first.')];
        if (Object.keys(subscriptions).length > MAX_PER_SOCKET) return [limit()];
        return admit(deps, extra.session, asked);
      },
      execute: (args) => runOnce(args, args.contextValue as OperationSource).then(serializable),
      subscribe: async (args) => {
        const source = args.contextValue as OperationSource;
        const release = deps.gatekeeper.streams.take(source.principal);
        if (!release) return serializable({ errors: [sendable(problemOf(tooManyStreams(), source.requestId, source.logger))] });
        const live = await subscribeLive(args, source, release);
        return Symbol.asyncIterator in live ? live : serializable(live);
      },
      onNext: (...[, , , , result]) => serializable(result),
    },
    sockets,
  );
  return async () => server.dispose();
}

const limit = () =>
  new GraphQLError(`At most ${MAX_PER_SOCKET} operations at once on one socket.`, { extensions: { code: 'LIMIT_EXCEEDED' } });

/** A page of another site must not ride on a browser's access to this address; programs send no origin. */
function isForeign(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}

async function openSession(deps: SocketDeps, extra: SessionExtra & Extra, authorization: unknown): Promise<boolean> {
  const bearer = bearerOf(authorization);
  const principal = bearer === null ? null : await deps.authenticator.authenticate(bearer).catch(outageOf);
  if (principal === OUTAGE) {
    extra.socket.close(TRY_AGAIN_LATER, 'What is behind this cannot be reached: come back in a moment');
    return false;
  }
  if (!principal || bearer === null) return false;
  const release = deps.gatekeeper.sockets.take(principal);
  if (!release) {
    extra.socket.close(TRY_AGAIN_LATER, `At most ${MAX_SOCKETS_PER_TOKEN} sockets at once with one token`);
    return false;
  }
  const closed = new AbortController();
  closed.signal.addEventListener('abort', release, { once: true });
  const cut = (): void => {
    closed.abort();
    extra.socket.close(UNAUTHORIZED, 'Unauthorized');
  };
  extra.session = { principal, closed, unwatch: watchToken(deps.authenticator, { bearer, known: principal }, cut) };
  // It may have gone while the token was looked up; nobody would end the watch then.
  if (extra.socket.readyState !== extra.socket.OPEN) endSession(extra.session);
  return true;
}

const OUTAGE = Symbol('outage');

/** An outage says nothing about the token; anything else is a bug. */
function outageOf(error: unknown): typeof OUTAGE {
  if (isOutage(error)) return OUTAGE;
  throw error;
}

function endSession(session: Session | undefined): void {
  session?.unwatch();
  session?.closed.abort();
}

interface Asked {
  readonly query: string;
  readonly operationName?: string | null | undefined;
  readonly variables?: Record<string, unknown> | null | undefined;
}

function admit(
  deps: SocketDeps,
  { principal, closed }: Session,
  { query, operationName, variables }: Asked,
): ExecutionArgs | readonly GraphQLError[] {
  const source = deps.sourceOf(principal, closed.signal);
  const masked = (errors: readonly GraphQLError[]) =>
    errors.map((error) => sendable(problemOf(error, source.requestId, source.logger)));
  const admitted = deps.gatekeeper.admit(query, operationName);
  if (!('document' in admitted)) return masked(admitted);
  try {
    deps.gatekeeper.charge(principal, { ...admitted, variables: variables ?? {} });
  } catch (error) {
    return masked([error as GraphQLError]);
  }
  return { schema: deps.schema, document: admitted.document, operationName, variableValues: variables, contextValue: source };
}

interface Problem {
  readonly message: string;
  readonly extensions?: Record<string, unknown>;
}

/** The library sends errors by their `toJSON`, so a problem must be one again. */
const sendable = ({ message, extensions }: Problem): GraphQLError => new GraphQLError(message, extensions ? { extensions } : {});

const serializable = <R extends { readonly errors?: readonly unknown[] | undefined }>(result: R): R =>
  result.errors
    ? { ...result, errors: result.errors.map((error) => (error instanceof GraphQLError ? error : sendable(error as Problem))) }
    : result;
