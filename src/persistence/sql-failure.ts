import { failure, type Failure } from '../kernel/failure.ts';

/** SQLSTATEs that a caller can do something about (PostgreSQL, appendix A). */
const FAILURES: Readonly<Record<string, () => Failure>> = {
  '23505': () => failure('ALREADY_EXISTS', 'Something with this name exists already.'),
  '40001': () => failure('CONFLICT', 'Somebody else changed this at the same time: read it again and repeat.'),
  '40P01': () => failure('CONFLICT', 'Somebody else changed this at the same time: read it again and repeat.'),
  '55P03': () => failure('IN_PROGRESS', 'Another change is still running: repeat in a moment.', { retryAfterMs: 1000 }),
};

/** Five characters whose class is one of the standard's or PostgreSQL's own; the system's `EPIPE` is none. */
const SQLSTATE = /^(\d[0-9A-Z]|F0|HV|P0|XX)[0-9A-Z]{3}$/;

/** The SQLSTATE of a driver's error, also when the ORM wrapped it; null for anything else. */
export function sqlStateOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null) return null;
  if ('code' in error && typeof error.code === 'string' && SQLSTATE.test(error.code)) return error.code;
  return 'cause' in error ? sqlStateOf(error.cause) : null;
}

/** What a caller may be told about a database error; null if it is a bug or an outage, which is thrown on. */
export function failureOfSql(error: unknown): Failure | null {
  const state = sqlStateOf(error);
  const made = state === null ? undefined : FAILURES[state];
  return made ? { ...made(), internal: String(error) } : null;
}
