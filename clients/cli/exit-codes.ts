/** What a script can rely on. */
export const EXIT = {
  OK: 0,
  FAILED: 1,
  USAGE: 2,
  REFUSED: 3,
  NOT_FOUND: 4,
  UNAUTHENTICATED: 5,
  UNAVAILABLE: 6,
  NOT_READY: 7,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What each code means; `purser help exit-codes` and docs/cli.md print it. */
export const EXIT_MEANINGS = {
  [EXIT.OK]: 'done',
  [EXIT.FAILED]: 'a bug or an unexpected failure',
  [EXIT.USAGE]: 'wrong arguments; nothing was sent',
  [EXIT.REFUSED]: 'the server refused, with the reason',
  [EXIT.NOT_FOUND]: 'no such thing, or it may not be seen',
  [EXIT.UNAUTHENTICATED]: 'not signed in, or the token is unknown, expired or revoked',
  [EXIT.UNAVAILABLE]: 'nobody answered; repeating is safe',
  [EXIT.NOT_READY]: '--wait ended before the deployment was ready, or it failed',
} satisfies Record<ExitCode, string>;

export const exitCodesText = (): string =>
  ['Exit codes', ...Object.entries(EXIT_MEANINGS).map(([code, meaning]) => `  ${code}  ${meaning}`)].join('\n');

/** Ends a command with a message and a documented exit code. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}
