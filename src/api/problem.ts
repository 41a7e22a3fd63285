import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { ClusterUnreachable } from '../deployments/cluster.port.ts';
import { isBeyondLimits } from '../graphql/limits.ts';
import { safeMessage } from '../graphql/safe-message.ts';
import { sqlStateOf } from '../persistence/sql-failure.ts';
import type { Logger } from '../telemetry/logger.ts';

/** When a repeat makes sense after something was away, in ms. */
export const OUTAGE_RETRY_MS = 1_000;

/** Codes of the library and of our own refusals that a caller may read; everything else is a bug or an outage. */
const PUBLIC = new Set([
  'BAD_REQUEST',
  'BAD_USER_INPUT',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'LIMIT_EXCEEDED',
  'NOT_FOUND',
  'OPERATION_RESOLUTION_FAILURE',
  'PERSISTED_QUERY_NOT_SUPPORTED',
  'THROTTLED',
  'UNAUTHENTICATED',
]);

/** One entry of `errors` as the caller sees it: no stack, no value, no text of a bug. */
export function problemOf(error: GraphQLError, requestId: string, logger: Logger): GraphQLFormattedError {
  const code = codeOf(error);
  const place = { ...(error.locations ? { locations: error.locations } : {}), ...(error.path ? { path: error.path } : {}) };
  if (code !== null) {
    const { retryAfterMs } = error.extensions;
    return {
      message: safeMessage(error),
      ...place,
      extensions: { code, requestId, ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}) },
    };
  }
  const cause = error.originalError ?? error;
  logger.error({ err: cause, requestId, path: error.path }, 'a resolver failed');
  const away = whatIsAway(cause);
  if (away !== null) {
    return {
      message: `The ${away} cannot be reached: repeat in a moment.`,
      ...place,
      extensions: { code: 'UNAVAILABLE', requestId, retryAfterMs: OUTAGE_RETRY_MS },
    };
  }
  return {
    message: 'Something went wrong here; the request id leads to the reason in the log.',
    ...place,
    extensions: { code: 'INTERNAL_SERVER_ERROR', requestId },
  };
}

/** The public code; null for what must be masked. */
function codeOf(error: GraphQLError): string | null {
  if (isBeyondLimits(error)) return 'LIMIT_EXCEEDED';
  const given = error.extensions.code;
  if (typeof given === 'string') return PUBLIC.has(given) ? given : null;
  if (error.originalError && !(error.originalError instanceof GraphQLError)) return null;
  if (error.message.startsWith('Syntax Error')) return 'GRAPHQL_PARSE_FAILED';
  return error.path === undefined ? 'GRAPHQL_VALIDATION_FAILED' : isCoercion(error) ? 'BAD_USER_INPUT' : null;
}

/** Arguments that a scalar refused while executing have nodes and no other error behind them. */
const isCoercion = (error: GraphQLError): boolean =>
  error.originalError === undefined && (error.nodes?.length ?? 0) > 0 && /^Argument /.test(error.message);

const whatIsAway = (cause: unknown): string | null =>
  cause instanceof ClusterUnreachable ? 'cluster' : isOutage(cause) ? 'database' : null;

/** The driver's words for a server that is away: no SQLSTATE but a system code, class 08, or a shutdown (57P). */
export function isOutage(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state !== null) return state.startsWith('08') || state.startsWith('57P') || state === '53300';
  const text = String(error);
  return /ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|Connection terminated|is not queryable|timeout exceeded when trying to connect|Query read timeout/.test(
    text,
  );
}
