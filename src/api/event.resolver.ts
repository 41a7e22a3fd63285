import { Args, ArgsType, Ctx, Field, ID, Int, Query, Resolver, Root, Subscription } from 'type-graphql';
import type { Id } from '../kernel/id.ts';
import { scopeOf, type Principal } from '../kernel/principal.ts';
import { decodeCursor, encodeCursor, type Cursor } from '../events/cursor.ts';
import type { EventFilter, LogEvent } from '../events/event.ts';
import type { Delivery, EventLog } from '../events/event-log.ts';
import type { ApiContext } from '../graphql/context.ts';
import { NOWHERE } from '../graphql/global-id.ts';
import { badCursor, pageSize } from '../graphql/page.ts';
import { EventCursor } from '../graphql/scalars.ts';
import { mayDo, mayDoSomewhere } from '../identity/authorize.ts';
import type { EventSubjectStore } from './event-subject-store.port.ts';
import { EventDeliveryType, EventFilterInput, EventPageType, toEventType } from './event.type.ts';

@ArgsType()
class EventsArgs {
  @Field(() => EventCursor, { nullable: true, description: 'Go on behind this; left out = from the oldest that is kept.' })
  after?: string | null;

  @Field(() => EventFilterInput, { nullable: true, description: 'What to see.' })
  filter?: EventFilterInput | null;

  @Field(() => Int, { defaultValue: 100, description: 'At most 100.' })
  first!: number;

  @Field(() => Int, { nullable: true, description: 'Instead of `after` and `first`: the newest so many.' })
  last?: number | null;
}

@ArgsType()
class FollowArgs {
  @Field(() => EventCursor, { nullable: true, description: 'Go on behind this; left out = from now.' })
  after?: string | null;

  @Field(() => EventFilterInput, { nullable: true, description: 'What to see.' })
  filter?: EventFilterInput | null;

  @Field(() => Int, { nullable: true, description: 'Without `after`: begin with the newest so many, at most 100.' })
  last?: number | null;
}

@ArgsType()
class ScalingArgs {
  @Field(() => ID, { nullable: true, description: 'Only of this deployment; left out = of all that you may see.' })
  deployment?: string | null;

  @Field(() => EventCursor, { nullable: true, description: 'Go on behind this; left out = from now.' })
  after?: string | null;
}

@Resolver()
export class EventResolver {
  readonly #log: EventLog;
  readonly #subjects: EventSubjectStore;

  constructor(log: EventLog, subjects: EventSubjectStore) {
    this.#log = log;
    this.#subjects = subjects;
  }

  @Query(() => EventPageType, { description: 'Events behind a cursor, oldest first; with `last`, the newest ones.' })
  async events(
    @Ctx() context: ApiContext,
    @Args(() => EventsArgs) { after, filter: input, first, last }: EventsArgs,
  ): Promise<EventPageType> {
    const filter = await this.#filter(context, input);
    const scope = scopeOf(context.principal);
    const cursor = parseCursor(after);
    const page = last
      ? await this.#log.latest(scope, { filter, limit: pageSize(last) })
      : await this.#log.read(scope, { after: cursor, filter, limit: pageSize(first) });
    const visible = mayDoSomewhere(context.principal, 'event.read')
      ? page.events.filter((event) => maySee(context.principal, event))
      : [];
    return {
      events: visible.map((event) => toEventType(event, { epoch: page.cursor.epoch, position: event.position })),
      gap: page.gap ? { reason: page.gap, cursor: encodeCursor(page.from) } : null,
      cursor: encodeCursor(page.cursor),
      hasMore: page.hasMore,
    };
  }

  @Subscription(() => EventDeliveryType, {
    name: 'events',
    description: 'A heartbeat, then everything behind the cursor, then what happens, without loss or repetition.',
    subscribe: ({ args, context }) => subscribeTo(context as SubscriptionContext, args as FollowArgs),
  })
  follow(@Root() delivery: Delivery, @Args(() => FollowArgs) _args: FollowArgs): typeof EventDeliveryType {
    return deliveredAs(delivery);
  }

  @Subscription(() => EventDeliveryType, {
    name: 'scaling',
    description: 'Like `events`, of changes of the number of replicas alone.',
    subscribe: ({ args, context }) => subscribeTo(context as SubscriptionContext, scalingOf(args as ScalingArgs)),
  })
  followScaling(@Root() delivery: Delivery, @Args(() => ScalingArgs) _args: ScalingArgs): typeof EventDeliveryType {
    return deliveredAs(delivery);
  }

  /** What a subscription runs on; also used by subscriptions that other features derive from events. */
  async *deliveries(context: SubscriptionContext, args: FollowArgs): AsyncGenerator<Delivery> {
    const { principal, signal } = context;
    if (!mayDoSomewhere(principal, 'event.read')) return;
    const filter = await this.#filter(context, args.filter);
    await context.changed();
    const given = parseCursor(args.after);
    const after = given ?? (args.last ? await this.#before(principal, filter, args.last) : null);
    yield* this.#log.follow(scopeOf(principal), { after, filter, signal, may: (event) => maySee(principal, event) });
  }

  /**
   * An item at the start, after each visible event of the deployment, and after a gap, in which anything may have happened. Ends once
   * the deployment is gone; of an absent or foreign one it ends at once.
   */
  async *changesOf(context: SubscriptionContext, deploymentId: Id): AsyncGenerator<Delivery> {
    const { principal, signal } = context;
    let started = false;
    const may = (event: LogEvent) => maySee(principal, event);
    for await (const delivery of this.#log.follow(scopeOf(principal), { after: null, filter: { deploymentId }, signal, may })) {
      if (delivery.kind === 'heartbeat' && started) continue;
      if (!(await this.#isThere(context, deploymentId))) return;
      yield delivery;
      started = true;
    }
  }

  /** Holds no snapshot afterwards. */
  async #isThere(context: SubscriptionContext, deploymentId: Id): Promise<boolean> {
    const there = await this.#subjects.isThere(await context.read(), context.principal, deploymentId);
    await context.changed();
    return there;
  }

  /** The cursor just before the newest `last` events. */
  async #before(principal: Principal, filter: EventFilter, last: number): Promise<Cursor> {
    const page = await this.#log.latest(scopeOf(principal), { filter, limit: pageSize(last) });
    const [oldest] = page.events;
    return oldest ? { epoch: page.cursor.epoch, position: oldest.position - 1 } : page.cursor;
  }

  async #filter(context: ApiContext, input: EventFilterInput | null | undefined): Promise<EventFilter> {
    const { types, severities, deployment, project } = input ?? {};
    return {
      ...(types ? { types } : {}),
      ...(severities ? { severities } : {}),
      ...(deployment
        ? { deploymentId: (await this.#subjects.deploymentId(await context.read(), context.principal, deployment)) ?? NOWHERE }
        : {}),
      ...(project
        ? { projectId: (await this.#subjects.projectId(await context.read(), context.principal, project)) ?? NOWHERE }
        : {}),
    };
  }
}

/** The context of a subscription also says when its connection ends, and leads to the resolver's instance. */
export interface SubscriptionContext extends ApiContext {
  readonly signal: AbortSignal;
  readonly events: EventResolver;
}

const subscribeTo = (context: SubscriptionContext, args: FollowArgs): AsyncGenerator<Delivery> =>
  context.events.deliveries(context, args);

/** A reference to a thing of another kind matches nothing, like one to nothing. */
const scalingOf = ({ deployment, after }: ScalingArgs): FollowArgs => ({
  after: after ?? null,
  filter: { types: ['scaling.'], ...(deployment ? { deployment } : {}) },
});

function deliveredAs(delivery: Delivery): typeof EventDeliveryType {
  const cursor = encodeCursor(delivery.cursor);
  if (delivery.kind === 'event') return toEventType(delivery.event, delivery.cursor);
  return delivery.kind === 'gap' ? { reason: delivery.reason, cursor } : { cursor };
}

/** A finer wall than row-level security: grants on single projects. */
export const maySee = (principal: Principal, event: LogEvent): boolean =>
  mayDo(principal, 'event.read', { teamId: event.teamId, projectId: event.projectId });

function parseCursor(text: string | null | undefined): Cursor | null {
  if (!text) return null;
  const cursor = decodeCursor(text);
  if (cursor) return cursor;
  throw badCursor();
}
