/** One entry of a GraphQL answer's `errors`. */
export interface GraphQLFault {
  readonly message: string;
  readonly extensions?: { readonly code?: string; readonly requestId?: string; readonly retryAfterMs?: number };
}

/** The server answered and said no. */
export class PurserRefusal extends Error {
  override readonly name = 'PurserRefusal';
  /** Machine-readable, for example `THROTTLED` or `NOT_FOUND`. */
  readonly code: string;
  /** Status of the HTTP answer. */
  readonly status: number;

  constructor(message: string, code: string, status: number) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** Nobody answered: the server is down, unreachable or too slow. Repeating is safe with the same idempotency key. */
export class PurserUnavailable extends Error {
  override readonly name = 'PurserUnavailable';
}

/** What to throw for an answer with `errors`: an outage behind the API is no refusal. */
export function errorOf(faults: readonly GraphQLFault[], status: number): PurserRefusal | PurserUnavailable {
  const [first] = faults;
  const request = first?.extensions?.requestId ? ` (request ${first.extensions.requestId})` : '';
  const message = `${first?.message ?? `The answer had no data (status ${status}).`}${request}`;
  const code = first?.extensions?.code ?? 'UNKNOWN';
  return code === 'UNAVAILABLE' ? new PurserUnavailable(message) : new PurserRefusal(message, code, status);
}
