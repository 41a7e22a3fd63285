import { graphql } from '../typescript/generated/gql.ts';
import { CommandFailure, EXIT } from './exit-codes.ts';

/** What every mutation of the command line asks of its refusals. */
export const Refusal = graphql(`
  fragment Refusal on UserError {
    code
    message
    path
    hint
  }
`);

interface UserError {
  readonly code: string;
  readonly message: string;
  readonly path?: readonly string[] | null;
  readonly hint?: string | null;
}

/** Throws what a mutation refused, one line each: where, why, what to do. */
export function refuse(errors: readonly UserError[]): void {
  if (errors.length === 0) return;
  const lines = errors.map(
    ({ code, message, path, hint }) =>
      `${code}${path?.length ? ` (${path.join('.')})` : ''}: ${message}${hint ? ` ${hint}` : ''}`,
  );
  const notFound = errors.every((error) => error.code === 'NOT_FOUND');
  throw new CommandFailure(lines.join('\n'), notFound ? EXIT.NOT_FOUND : EXIT.REFUSED);
}

/** The thing, or exit code 4 in words that do not tell absent from forbidden. */
export function found<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new CommandFailure(`No such ${what}, or you may not see it.`, EXIT.NOT_FOUND);
  return value;
}
