import type { RequestHandler } from 'express';
import { OperationTypeNode, type GraphQLError, type GraphQLSchema } from 'graphql';
import type { Response } from 'graphql-sse';
import { createHandler } from 'graphql-sse/lib/use/express';
import type { Principal } from '../kernel/principal.ts';
import { bearerOf, watchToken, type Authenticator } from './authenticate.ts';
import { refusal, statusOf, tooManyStreams, type Gatekeeper } from './gatekeeper.ts';
import { problemOf } from './problem.ts';
import { runOnce, subscribeLive, type OperationSource } from './run-operation.ts';

export interface EventStreamDeps {
  readonly schema: GraphQLSchema;
  readonly gatekeeper: Gatekeeper;
  readonly authenticator: Authenticator;
  readonly sourceOf: (principal: Principal, signal: AbortSignal, requestId: string) => OperationSource;
}

/** Who asks, as the authentication before it found out. */
export interface Authenticated {
  readonly principal: Principal;
  readonly requestId: string;
}

/** One operation as server-sent events per request ("distinct connections"); `authenticatedOf` must know the request. */
export function serveEventStream(deps: EventStreamDeps, authenticatedOf: (locals: object) => Authenticated): RequestHandler {
  return async (request, response) => {
    const { principal, requestId } = authenticatedOf(response.locals);
    const ended = new AbortController();
    const bearer = bearerOf(request.headers.authorization) ?? '';
    const unwatch = watchToken(deps.authenticator, { bearer, known: principal }, () => {
      ended.abort();
      response.destroy();
    });
    response.once('close', () => {
      unwatch();
      ended.abort();
    });
    const source = deps.sourceOf(principal, ended.signal, requestId);
    // The library answers 404 to whoever does not name the one type that is served here; curl takes anything.
    if (request.accepts('text/event-stream')) request.headers.accept = 'text/event-stream';
    const handle = createHandler({
      authenticate: () => null,
      onSubscribe: ({ method }, asked) => run(deps, source, { ...(asked as Asked), method }),
    });
    await handle(request, response);
  };
}

interface Asked {
  readonly query: unknown;
  readonly operationName?: string | null;
  readonly variables?: Record<string, unknown> | null;
}

interface AskedBy extends Asked {
  /** Of the HTTP request. */
  readonly method: string;
}

async function run(deps: EventStreamDeps, source: OperationSource, { query, operationName, variables, method }: AskedBy) {
  const admitted = deps.gatekeeper.admit(query, operationName);
  if (!('document' in admitted)) return refused(admitted, source);
  // A link or a prefetch must change nothing.
  if (method === 'GET' && admitted.operation.operation === OperationTypeNode.MUTATION)
    return refused([refusal('A mutation needs POST.', 'BAD_REQUEST', 405)], source);
  try {
    deps.gatekeeper.charge(source.principal, { ...admitted, variables: variables ?? {} });
  } catch (error) {
    return refused([error as GraphQLError], source);
  }
  const args = {
    schema: deps.schema,
    document: admitted.document,
    operationName: operationName ?? null,
    variableValues: variables ?? null,
  };
  if (admitted.operation.operation !== OperationTypeNode.SUBSCRIPTION) return runOnce(args, source);
  const release = deps.gatekeeper.streams.take(source.principal);
  return release ? subscribeLive(args, source, release) : refused([tooManyStreams()], source);
}

function refused(errors: readonly GraphQLError[], { requestId, logger }: OperationSource): Response {
  const body = JSON.stringify({ errors: errors.map((error) => problemOf(error, requestId, logger)) });
  return [
    body,
    { status: statusOf(errors), statusText: 'Refused', headers: { 'content-type': 'application/json; charset=utf-8' } },
  ];
}
