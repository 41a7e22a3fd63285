import { Args, Ctx, Query, Resolver } from 'type-graphql';
import { toConnection } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { fromGlobalId, NOWHERE } from '../graphql/global-id.ts';
import type { NodeSource } from '../graphql/node.type.ts';
import { idCursor, pageSize } from '../graphql/page.ts';
import { DecisionsArgs } from './decision.input.ts';
import { DecisionConnection, toDecisionType } from './decision.type.ts';
import type { DecisionsService } from './decisions.service.ts';

@Resolver()
export class DecisionResolver {
  readonly #service: DecisionsService;

  constructor(service: DecisionsService) {
    this.#service = service;
  }

  @Query(() => DecisionConnection, { description: 'What was decided and why, newest first.' })
  async decisions(@Ctx() context: ApiContext, @Args(() => DecisionsArgs) { first, after, subject, kind }: DecisionsArgs) {
    const page = await this.#service.list(await context.read(), context.principal, {
      subjectId: subject ? (fromGlobalId(subject)?.id ?? NOWHERE) : null,
      kind: kind ?? null,
      before: idCursor(after),
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
