import { Arg, Ctx, ID, Query, Resolver } from 'type-graphql';
import { GraphQLError } from 'graphql';
import type { ApiContext } from '../graphql/context.ts';
import { fromGlobalId } from '../graphql/global-id.ts';
import { NodeType, type NodeSource } from '../graphql/node.type.ts';

/** Ids in one `nodes` query. Higher: one request reads much; lower: clients page needlessly. */
const MAX_NODES = 100;

/** `node` and `nodes` over what the features contribute. */
@Resolver()
export class NodeResolver {
  readonly #sources: ReadonlyMap<string, NodeSource>;

  constructor(sources: readonly NodeSource[]) {
    this.#sources = new Map(sources.map((source) => [source.typeName, source]));
  }

  @Query(() => NodeType, {
    nullable: true,
    description: 'Anything by its global id; null if it does not exist or you may not see it.',
  })
  node(@Ctx() context: ApiContext, @Arg('id', () => ID, { description: 'Global id.' }) id: string): Promise<object | null> {
    return this.load(context, id);
  }

  @Query(() => [NodeType], { nullable: 'items', description: 'Several things by their global ids, in that order.' })
  nodes(
    @Ctx() context: ApiContext,
    @Arg('ids', () => [ID], { description: 'At most 100 global ids.' }) ids: string[],
  ): Promise<(object | null)[]> {
    if (ids.length > MAX_NODES)
      throw new GraphQLError(`ids must be at most ${MAX_NODES}.`, { extensions: { code: 'BAD_USER_INPUT' } });
    return Promise.all(ids.map((id) => this.load(context, id)));
  }

  /** Null for absent and for forbidden. */
  async load(context: ApiContext, globalId: string): Promise<object | null> {
    const parts = fromGlobalId(globalId);
    const source = parts && this.#sources.get(parts.typeName);
    const found = source ? await source.load(context, parts.id) : null;
    return found && parts ? Object.assign(found, { __typename: parts.typeName }) : null;
  }
}
