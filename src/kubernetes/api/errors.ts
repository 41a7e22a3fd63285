/** What an API server answered instead of what was asked. */
export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';
  /** HTTP status. */
  readonly status: number;
  /** The server's reason code: `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, `Forbidden`, `Expired`, `TooManyRequests`, … */
  readonly reason: string;
  /** When a repeat makes sense; null = the server did not say. */
  readonly retryAfterMs: number | null;
  /** The server's causes: field and what is wrong with it. */
  readonly causes: readonly StatusCause[];
  /** The name of the object that the answer is about; null where the server does not say it. */
  readonly objectName: string | null;

  constructor(answer: StatusAnswer) {
    super(answer.message);
    this.status = answer.status;
    this.reason = answer.reason;
    this.retryAfterMs = answer.retryAfterMs;
    this.causes = answer.causes;
    this.objectName = answer.objectName;
  }

  /** True for an eviction that a PodDisruptionBudget does not allow at the moment. */
  get heldByDisruptionBudget(): boolean {
    return this.status === 429 && this.causes.some((cause) => cause.reason === 'DisruptionBudget');
  }
}

export interface StatusCause {
  readonly field: string;
  readonly reason: string;
  readonly message: string;
}

export interface StatusAnswer {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs: number | null;
  readonly causes: readonly StatusCause[];
  readonly objectName: string | null;
}

/** The reason of a `KubernetesError` for a kind that this server does not serve: its CRD is missing. */
export const NO_SUCH_RESOURCE = 'NoSuchResource';

export type UnreachableKind =
  /** No connection, or one that broke. */
  | 'connection'
  /** No answer, or no more of it, in time. */
  | 'timeout'
  /** An answer that is not an API server's. */
  | 'garbage'
  /** There is nothing to sign in with. */
  | 'credentials'
  /** Too many calls wait already. */
  | 'busy';

/** The API server cannot be talked to. Whether the request had an effect is not known. */
export class KubernetesUnreachable extends Error {
  override readonly name = 'KubernetesUnreachable';
  readonly kind: UnreachableKind;

  constructor(kind: UnreachableKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/**
 * True for troubles that leave the cluster's state unknown (no answer, overload, a fault of the server, credentials that are refused),
 * as against a refusal of this one request.
 */
export function isOutage(error: unknown): boolean {
  if (error instanceof KubernetesUnreachable) return true;
  if (!(error instanceof KubernetesError) || error.heldByDisruptionBudget) return false;
  return error.status === 401 || error.status === 429 || error.status >= 500;
}
