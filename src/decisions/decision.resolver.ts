import { Arg, Ctx, ID, Int, Query, Resolver } from 'type-graphql';
import { DEFAULT_PAGE, decodeCursor, toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { fromGlobalId } from '../graphql/global-id.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { pageSize } from '../graphql/page.ts';
import { isId } from '../kernel/id.ts';
import type { DecisionKind } from './decision.ts';
import { DecisionConnection, DecisionKindName, toDecisionType } from './decision.type.ts';
import type { DecisionsService } from './decisions.service.ts';

const NOWHERE = '00000000-0000-0000-0000-000000000000';

@Resolver()
export class DecisionResolver {
  readonly #service: DecisionsService;

  constructor(service: DecisionsService) {
    this.#service = service;
  }

  @Query(() => DecisionConnection, { description: 'What was decided and why, newest first.' })
  async decisions(
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'Cursor to go on behind.' }) after?: string | null,
    @Arg('subject', () => ID, { nullable: true, description: 'Only about this.' }) subject?: string | null,
    @Arg('kind', () => DecisionKindName, { nullable: true, description: 'Only of this kind.' }) kind?: DecisionKind | null,
  ) {
    const cursor = decodeCursor(after);
    const page = await this.#service.list(await context.read(), context.principal, {
      subjectId: subject ? (fromGlobalId(subject)?.id ?? NOWHERE) : null,
      kind: kind ?? null,
      before: cursor !== null && isId(cursor) ? cursor : null,
      first: pageSize(first),
    });
    return toConnection({ ...page, totalCount: null }, toDecisionType, (decision) => decision.id);
  }
}

/** How `node(id)` finds decisions. */
export const decisionNodes = (service: DecisionsService): NodeSource[] => [
  {
    typeName: 'Decision',
    load: async (context, id) => {
      const decision = await service.byId(await context.read(), context.principal, id);
      return decision && toDecisionType(decision);
    },
  },
];
