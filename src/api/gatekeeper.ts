import {
  getOperationAST,
  GraphQLError,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import {
  actualCost,
  estimateCost,
  type Estimate,
  fullBucket,
  MAXIMUM_COST,
  RESTORE_PER_SECOND,
  restored,
  take,
  waitFor,
  type CostBucket,
} from '../graphql/cost.ts';
import { isIntrospection, limitsRule, MAX_TOKENS } from '../graphql/limits.ts';
import { checkVariables } from '../graphql/safe-message.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Principal } from '../kernel/principal.ts';
import { callerKey, MAX_SOCKETS_PER_TOKEN, MAX_STREAMS_PER_TOKEN, Slots } from './slots.ts';

/** Callers whose points are remembered. Higher costs memory; lower lets a crowd refill by pushing each other out. */
const MAX_BUCKETS = 50_000;

/** The price of an operation, as `extensions.cost`. */
export interface CostReport {
  readonly requestedQueryCost: number;
  readonly actualQueryCost: number | null;
  readonly throttleStatus: {
    readonly maximumAvailable: number;
    readonly currentlyAvailable: number;
    readonly restoreRate: number;
  };
}

export interface Operation {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Decides which documents run, the same for every transport: limits, validity, variables, then the caller's cost bucket. */
export class Gatekeeper {
  readonly #schema: GraphQLSchema;
  readonly #clock: Clock;
  /** What a caller holds open, whatever the transport. */
  readonly streams = new Slots(MAX_STREAMS_PER_TOKEN);
  readonly sockets = new Slots(MAX_SOCKETS_PER_TOKEN);
  readonly #buckets = new LRUCache<string, CostBucket>({ max: MAX_BUCKETS });

  constructor(schema: GraphQLSchema, clock: Clock) {
    this.#schema = schema;
    this.#clock = clock;
  }

  /** For transports without Apollo: the document and its operation, or why not. */
  admit(
    text: unknown,
    operationName: string | null | undefined,
  ): { readonly document: DocumentNode; readonly operation: OperationDefinitionNode } | readonly GraphQLError[] {
    const document = parseLimited(text);
    if (document instanceof GraphQLError) return [document];
    const excess = validate(this.#schema, document, [limitsRule]);
    if (excess.length > 0) return excess;
    const errors = validate(this.#schema, document, specifiedRules);
    if (errors.length > 0) return errors;
    const operation = getOperationAST(document, operationName);
    return operation ? { document, operation } : [refusal('The document has no operation of that name.', 'BAD_REQUEST', 400)];
  }

  /** Checks variables and takes the operation's points from the principal's bucket; throws a GraphQLError when it may not run. */
  charge(principal: Principal, asked: Operation): Estimate {
    const wrong = checkVariables(this.#schema, asked.operation, asked.variables);
    const [first] = wrong;
    if (first) throw first;
    if (isIntrospection(asked.document)) return { most: 1, work: 0 };
    const cost = estimateCost(this.#schema, asked.document, asked.operation, asked.variables);
    const { most } = cost;
    if (most > MAXIMUM_COST)
      throw refusal(
        `The document may cost ${most} points; at most ${MAXIMUM_COST} are ever available. Ask for smaller pages.`,
        'LIMIT_EXCEEDED',
        400,
      );
    const now = this.#clock.now();
    const bucket = this.#bucketOf(principal, now);
    const left = take(bucket, most, now);
    if (!left) throw refusal('Too many points spent: wait and repeat.', 'THROTTLED', 429, waitFor(bucket, most, now));
    this.#buckets.set(callerKey(principal), left);
    return cost;
  }

  /** Gives back what the answer did not need. */
  settle(principal: Principal, { most: requested, work }: Estimate, data: unknown): CostReport {
    const now = this.#clock.now();
    const actual = Math.min(requested, Math.max(1, work + actualCost(data)));
    const left = take(this.#bucketOf(principal, now), actual - requested, now);
    if (left) this.#buckets.set(callerKey(principal), left);
    return { requestedQueryCost: requested, actualQueryCost: actual, throttleStatus: this.#status(principal, now) };
  }

  #status(principal: Principal, now: number): CostReport['throttleStatus'] {
    const { available } = restored(this.#bucketOf(principal, now), now);
    return { maximumAvailable: MAXIMUM_COST, currentlyAvailable: Math.floor(available), restoreRate: RESTORE_PER_SECOND };
  }

  #bucketOf(principal: Principal, now: number): CostBucket {
    return this.#buckets.get(callerKey(principal)) ?? fullBucket(now);
  }
}

function parseLimited(text: unknown): DocumentNode | GraphQLError {
  if (typeof text !== 'string') return refusal('The request has no query.', 'BAD_REQUEST', 400);
  try {
    return parse(text, { maxTokens: MAX_TOKENS });
  } catch (error) {
    return error instanceof GraphQLError ? error : refusal('The document cannot be read.', 'GRAPHQL_PARSE_FAILED', 400);
  }
}

/** A refusal of the API itself, with the HTTP status it has on every transport that knows one. */
export const refusal = (message: string, code: string, status: number, retryAfterMs?: number): GraphQLError =>
  new GraphQLError(message, { extensions: { code, http: { status }, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) } });

/** One subscription too many. */
export const tooManyStreams = (): GraphQLError =>
  refusal(`At most ${MAX_STREAMS_PER_TOKEN} subscriptions at once with one token.`, 'LIMIT_EXCEEDED', 429);

/** The highest status that any of the errors asks for; 400 without one. */
export function statusOf(errors: readonly GraphQLError[]): number {
  const asked = errors.map((error) => (error.extensions.http as { status?: number } | undefined)?.status ?? 400);
  return Math.max(...asked);
}
