/**
 * The reason codes that every feature shares with the API (`UserErrorCode`). A feature's own, finer reasons travel in `reason`.
 */
export const FAILURE_CODES = [
  'INVALID_INPUT',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'CONFLICT',
  'IN_PROGRESS',
  'PRECONDITION_FAILED',
  'QUOTA_EXCEEDED',
  'LIMIT_EXCEEDED',
  'UNSUPPORTED',
  'NO_CAPACITY',
  'NO_CONTAINER_RUNTIME',
  'DIGEST_MISMATCH',
  'STALE_EPOCH',
] as const;

export type FailureCode = (typeof FAILURE_CODES)[number];

/**
 * An operating error as a value: what the caller may read (`message`, `path`, `hint`) and what only the log keeps (`internal`).
 * Absent and forbidden are the same failure, `NOT_FOUND`, so that nobody can probe for what is not theirs.
 */
export interface Failure {
  readonly code: FailureCode;
  /** Names the field and the mend; never echoes a secret or a foreign name. */
  readonly message: string;
  /** Path of the input field, outermost first. */
  readonly path?: readonly string[];
  readonly hint?: string;
  /** For `IN_PROGRESS` and limits: when a repeat makes sense, in ms. */
  readonly retryAfterMs?: number;
  /** What the log keeps. */
  readonly internal?: string;
  /** Feature-specific facts that a payload may show, for example both plans of a `CONFLICT`. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export const failure = (code: FailureCode, message: string, more: Omit<Failure, 'code' | 'message'> = {}): Failure => ({
  code,
  message,
  ...more,
});

/** The one answer for absent and for forbidden, byte for byte. */
export const notFound = (what: string, path?: readonly string[]): Failure =>
  failure('NOT_FOUND', `No such ${what}, or you may not see it.`, path ? { path } : {});
