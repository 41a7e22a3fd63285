import DataLoader from 'dataloader';
import { Arg, Ctx, FieldResolver, Int, Resolver, Root } from 'type-graphql';
import { DeploymentType } from '../deployments/deployment.type.ts';
import { newestOfDeployments } from '../events/read-events.ts';
import { DEFAULT_PAGE } from '../graphql/connection.type.ts';
import type { ApiContext } from '../graphql/context.ts';
import { NodeType } from '../graphql/node.type.ts';
import { pageSize } from '../graphql/page.ts';
import type { Id } from '../kernel/id.ts';
import { maySee } from './event.resolver.ts';
import { EventType, toEventType } from './event.type.ts';
import type { NodeResolver } from './node.resolver.ts';

/** From an event to what it is about. */
@Resolver(() => EventType)
export class EventSubjectResolver {
  readonly #nodes: NodeResolver;

  constructor(nodes: NodeResolver) {
    this.#nodes = nodes;
  }

  @FieldResolver(() => NodeType, {
    nullable: true,
    description: 'What it is about, as it is now; null if it is gone, has no id of its own, or you may not see it.',
  })
  subject(@Root() event: EventType, @Ctx() context: ApiContext): Promise<object | null> {
    return this.#nodes.load(context, event.subjectId);
  }
}

/** From a deployment to what happened to it. */
@Resolver(() => DeploymentType)
export class DeploymentEventsResolver {
  @FieldResolver(() => [EventType], { description: 'The newest events about it, newest first.' })
  events(
    @Root() { row }: DeploymentType,
    @Ctx() context: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE, description: 'At most 100; older ones are in the query `events`.' })
    first: number,
  ): Promise<EventType[]> {
    return eventsLoader(context, pageSize(first)).load(row.id);
  }
}

const eventsLoader = (context: ApiContext, limit: number): DataLoader<Id, EventType[]> =>
  context.loader(`events of deployments ${limit}`, () => {
    return new DataLoader(async (ids) => {
      const { epoch, events } = await newestOfDeployments(await context.read(), ids, limit);
      return ids.map((id) =>
        (events.get(id) ?? [])
          .filter((event) => maySee(context.principal, event))
          .map((event) => toEventType(event, { epoch, position: event.position })),
      );
    });
  });
