/** What a script can rely on; `purser help exit-codes` prints this table. */
export const EXIT = {
  OK: 0,
  /** A bug or an unexpected failure. */
  FAILED: 1,
  /** Wrong arguments. */
  USAGE: 2,
  /** The server refused: `userErrors` or a GraphQL error. */
  REFUSED: 3,
  /** No such thing, or not visible. */
  NOT_FOUND: 4,
  /** No context, or the token is unknown, expired or revoked. */
  UNAUTHENTICATED: 5,
  /** Nobody answered. */
  UNAVAILABLE: 6,
  /** `--wait` ended before the deployment was ready, or it failed. */
  NOT_READY: 7,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a message and a documented exit code. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}
