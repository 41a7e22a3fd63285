import { ApolloServer, type ApolloServerPlugin, type GraphQLRequestContext } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { OperationTypeNode, type GraphQLSchema } from 'graphql';
import type { Estimate } from '../graphql/cost.ts';
import { isBeyondLimits, limitsRule, MAX_TOKENS } from '../graphql/limits.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ApiMetrics } from './api.metrics.ts';
import { refusal, type Gatekeeper } from './gatekeeper.ts';
import type { OperationContext } from './operation-context.ts';
import { problemOf } from './problem.ts';

export interface ApolloDeps {
  readonly schema: GraphQLSchema;
  readonly gatekeeper: Gatekeeper;
  readonly logger: Logger;
  readonly metrics: ApiMetrics;
}

/** Apollo with our rules: queries and mutations over HTTP. */
export const makeApollo = (deps: ApolloDeps): ApolloServer<OperationContext> =>
  new ApolloServer<OperationContext>({
    schema: deps.schema,
    // Only callers who have proved who they are come this far.
    introspection: true,
    includeStacktraceInErrorResponses: false,
    persistedQueries: false,
    parseOptions: { maxTokens: MAX_TOKENS },
    validationRules: [limitsRule],
    logger: deps.logger,
    stopOnTerminationSignals: false,
    plugins: [ApolloServerPluginLandingPageDisabled(), costs(deps.gatekeeper), answers(deps)],
  });

const ELSEWHERE = 'Subscriptions run over graphql-transport-ws on this path, or as server-sent events on /graphql/stream.';

/** Takes points before an operation runs and gives back what it did not need. */
function costs(gatekeeper: Gatekeeper): ApolloServerPlugin<OperationContext> {
  return {
    requestDidStart: () => {
      let requested: Estimate | null = null;
      return Promise.resolve({
        didResolveOperation: ({ document, operation, request, contextValue }) => {
          if (operation?.operation === OperationTypeNode.SUBSCRIPTION) throw refusal(ELSEWHERE, 'BAD_REQUEST', 400);
          if (operation)
            requested = gatekeeper.charge(contextValue.principal, { document, operation, variables: request.variables ?? {} });
          return Promise.resolve();
        },
        willSendResponse: ({ response, contextValue }) => {
          if (requested !== null && response.body.kind === 'single') {
            const cost = gatekeeper.settle(contextValue.principal, requested, response.body.singleResult.data);
            response.body.singleResult.extensions = { ...response.body.singleResult.extensions, cost };
          }
          return Promise.resolve();
        },
      });
    },
  };
}

/** Status and errors as the API promises them, and the end of the read snapshot. */
function answers({ logger, metrics }: ApolloDeps): ApolloServerPlugin<OperationContext> {
  return {
    requestDidStart: () =>
      Promise.resolve({
        willSendResponse: async (request) => {
          await request.contextValue.close();
          const { body, http } = request.response;
          if (body.kind !== 'single' || !request.errors?.length) return;
          const { requestId } = request.contextValue;
          body.singleResult.errors = request.errors.map((error) => problemOf(error, requestId, logger));
          if (body.singleResult.errors.some(({ extensions }) => extensions?.['code'] === 'THROTTLED')) metrics.throttled.inc();
          const retryAfterMs = body.singleResult.errors
            .map(({ extensions }) => Number(extensions?.['retryAfterMs'] ?? 0))
            .reduce((a, b) => Math.max(a, b), 0);
          if (retryAfterMs > 0) http.headers.set('retry-after', String(Math.ceil(retryAfterMs / 1_000)));
          if (http.status !== undefined && isOldStyle(request)) http.status = 200;
        },
      }),
  };
}

const OLD_STYLE = new Set(['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']);

/**
 * A client that asks for `application/json` and not for `application/graphql-response+json` gets status 200 for a document that is not
 * well formed (GraphQL over HTTP §6.4.1). Documents beyond the limits are refused with their own status to everybody.
 */
function isOldStyle({ request, errors = [] }: GraphQLRequestContext<OperationContext>): boolean {
  const accept = request.http?.headers.get('accept') ?? '';
  if (!accept.includes('application/json') || accept.includes('application/graphql-response+json')) return false;
  return errors.every((error) => !isBeyondLimits(error) && OLD_STYLE.has(String(error.extensions.code)));
}
