import { GraphQLError } from 'graphql';
import { isId, type Id } from '../kernel/id.ts';
import { decodeCursor, MAX_PAGE, type Page } from './connection.type.ts';

/** The page size that was asked for; throws a client error outside 1 to 100. */
export function pageSize(first: number): number {
  if (first >= 1 && first <= MAX_PAGE) return first;
  throw new GraphQLError(`first must be between 1 and ${MAX_PAGE}.`, { extensions: { code: 'BAD_USER_INPUT' } });
}

/** The client's mistake of a cursor that no answer gave: it never means the beginning. */
export const badCursor = (): GraphQLError =>
  new GraphQLError('after must be a cursor that an earlier answer gave.', { extensions: { code: 'BAD_USER_INPUT' } });

/** The id in the cursor of a list that is ordered by ids; null without a cursor, a client error for anything else. */
export function idCursor(after: string | null | undefined): Id | null {
  const id = decodeCursor(after);
  if (id === null || isId(id)) return id;
  throw badCursor();
}

/** The number in the cursor of a list that is ordered by numbers; null without a cursor, a client error for anything else. */
export function numberCursor(after: string | null | undefined): number | null {
  const digits = decodeCursor(after);
  if (digits === null) return null;
  if (/^\d{1,9}$/.test(digits)) return Number(digits);
  throw badCursor();
}

/** A page from rows that were read with one more than `limit`. */
export const toPage = <T>(rows: readonly T[], limit: number, totalCount: number | null = null): Page<T> => ({
  items: rows.slice(0, limit),
  hasNextPage: rows.length > limit,
  totalCount,
});
