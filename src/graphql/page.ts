import { GraphQLError } from 'graphql';
import { MAX_PAGE, type Page } from './connection.type.ts';

/** The page size that was asked for; throws a client error outside 1 to 100. */
export function pageSize(first: number): number {
  if (first >= 1 && first <= MAX_PAGE) return first;
  throw new GraphQLError(`first must be between 1 and ${MAX_PAGE}.`, { extensions: { code: 'BAD_USER_INPUT' } });
}

/** A page from rows that were read with one more than `limit`. */
export const toPage = <T>(rows: readonly T[], limit: number, totalCount: number | null = null): Page<T> => ({
  items: rows.slice(0, limit),
  hasNextPage: rows.length > limit,
  totalCount,
});
