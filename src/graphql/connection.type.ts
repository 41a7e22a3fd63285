import { Field, Int, ObjectType, type ClassType } from 'type-graphql';

/** Largest page. Higher: one request can hold a connection for long; lower: clients page needlessly. */
export const MAX_PAGE = 100;
export const DEFAULT_PAGE = 20;

/** One page of a keyset-paginated list, before it is wrapped. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly hasNextPage: boolean;
  readonly totalCount: number | null;
}

@ObjectType('PageInfo', { description: 'Where a page ends (Relay).' })
export class PageInfoType {
  @Field(() => Boolean, { description: 'True if there is more after `endCursor`.' })
  hasNextPage!: boolean;

  @Field(() => Boolean, { description: 'Always false: lists go forward only.' })
  hasPreviousPage!: boolean;

  @Field(() => String, { nullable: true, description: 'Cursor of the first edge.' })
  startCursor!: string | null;

  @Field(() => String, { nullable: true, description: 'Cursor of the last edge; pass it as `after`.' })
  endCursor!: string | null;
}

export interface ConnectionShape<T> {
  edges: { cursor: string; node: T }[];
  nodes: T[];
  pageInfo: PageInfoType;
  totalCount: number | null;
}

/** The connection and edge types of a node type, named `<name>Connection` and `<name>Edge`. */
export function connectionOf<T extends object>(name: string, node: () => ClassType<T>): ClassType<ConnectionShape<T>> {
  @ObjectType(`${name}Edge`, { description: 'One item of a page, with its cursor.' })
  class Edge {
    @Field(() => String, { description: 'Pass it as `after` to go on behind this one.' })
    cursor!: string;

    @Field(node, { description: 'The item.' })
    node!: T;
  }

  @ObjectType(`${name}Connection`, { description: 'One page of a list.' })
  class Connection {
    @Field(() => [Edge], { description: 'The items with their cursors, in order.' })
    edges!: Edge[];

    @Field(() => [node()], { description: 'The items alone, in the same order.' })
    nodes!: T[];

    @Field(() => PageInfoType, { description: 'Where the page ends.' })
    pageInfo!: PageInfoType;

    @Field(() => Int, { nullable: true, description: 'How many there are in all; null when counting would be slow.' })
    totalCount!: number | null;
  }
  return Connection as ClassType<ConnectionShape<T>>;
}

/** `sortKey` must be the keyset that `after` is decoded to; it travels base64url-encoded. */
export function toConnection<S, T>(page: Page<S>, toNode: (item: S) => T, sortKey: (item: S) => string): ConnectionShape<T> {
  const edges = page.items.map((item) => ({ cursor: encodeCursor(sortKey(item)), node: toNode(item) }));
  return {
    edges,
    nodes: edges.map((edge) => edge.node),
    pageInfo: {
      hasNextPage: page.hasNextPage,
      hasPreviousPage: false,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount: page.totalCount,
  };
}

const encodeCursor = (key: string): string => Buffer.from(key).toString('base64url');

/** The sort key inside a cursor; null for none. */
export const decodeCursor = (cursor: string | null | undefined): string | null =>
  cursor ? Buffer.from(cursor, 'base64url').toString('utf8') : null;
