import { createUnionType, Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import type { Json, Severity } from '../kernel/event.ts';
import type { Instant } from '../kernel/instant.ts';
import { encodeCursor, type Cursor, type GapReason } from '../events/cursor.ts';
import type { LogEvent } from '../events/event.ts';
import { toGlobalId } from '../graphql/global-id.ts';
import { DateTime, EventCursor, JsonValue } from '../graphql/scalars.ts';

const SeverityName = { INFO: 'info', WARNING: 'warning', ERROR: 'error' } as const;
registerEnumType(SeverityName, {
  name: 'Severity',
  description: 'How much attention an event wants.',
  valuesConfig: {
    INFO: { description: 'As intended.' },
    WARNING: { description: 'Not as intended, but dealt with.' },
    ERROR: { description: 'Somebody should look.' },
  },
});

const GapReasonName = { PRUNED: 'PRUNED', RESTORED: 'RESTORED' } as const;
registerEnumType(GapReasonName, {
  name: 'GapReason',
  description: 'Why events are missing.',
  valuesConfig: {
    PRUNED: { description: 'They are older than the log keeps.' },
    RESTORED: { description: 'The database was restored to a time before them.' },
  },
});

@ObjectType('Event', { description: 'Something that happened, written in the transaction that made it so.' })
export class EventType {
  @Field(() => EventCursor, { description: 'Its place in the log; pass it as `after`.' })
  cursor!: string;

  @Field(() => DateTime, { description: 'When; not monotone in the order of the log.' })
  at!: Instant;

  @Field(() => String, { description: 'What kind: `deployment.created`, `rollout.finished`, …' })
  type!: string;

  @Field(() => SeverityName, { description: 'How much attention it wants.' })
  severity!: Severity;

  @Field(() => String, { description: 'One sentence for people.' })
  message!: string;

  @Field(() => String, { description: 'GraphQL type of what it is about.' })
  subjectKind!: string;

  @Field(() => ID, { description: 'Global id of what it is about; see `node`.' })
  subjectId!: string;

  @Field(() => ID, { nullable: true, description: 'Global id of the deployment that it concerns.' })
  deploymentId!: string | null;

  @Field(() => String, { description: 'Who caused it: a principal id, or `reconciler:` and a loop.' })
  principal!: string;

  @Field(() => JsonValue, { nullable: true, description: 'The subject before; null if it was not there.' })
  before!: Json;

  @Field(() => JsonValue, { nullable: true, description: 'The subject after; null if it is gone.' })
  after!: Json;
}

@ObjectType('Gap', { description: 'Events before `cursor` are missing; what follows goes on there.' })
export class GapType {
  @Field(() => GapReasonName, { description: 'Why.' })
  reason!: GapReason;

  @Field(() => EventCursor, { description: 'Where it goes on.' })
  cursor!: string;
}

@ObjectType('Heartbeat', { description: 'Nothing new up to `cursor`: the connection lives.' })
export class HeartbeatType {
  @Field(() => EventCursor, { description: 'How far the log was looked through.' })
  cursor!: string;
}

export const EventDeliveryType = createUnionType({
  name: 'EventDelivery',
  description: 'What a subscription delivers; resuming after any of these cursors loses nothing and repeats nothing.',
  types: () => [EventType, GapType, HeartbeatType] as const,
  resolveType: (value) => ('type' in value ? EventType : 'reason' in value ? GapType : HeartbeatType),
});

@ObjectType('EventPage', { description: 'A stretch of the log.' })
export class EventPageType {
  @Field(() => [EventType], { description: 'The events, in order.' })
  events!: EventType[];

  @Field(() => GapType, { nullable: true, description: 'Set if events between `after` and these are missing.' })
  gap!: GapType | null;

  @Field(() => EventCursor, { description: 'How far the log was looked through; pass it as `after`.' })
  cursor!: string;

  @Field(() => Boolean, { description: 'True if there is more behind `cursor`.' })
  hasMore!: boolean;
}

@InputType('EventFilter', { description: 'What to see of what you may see; left out = all.' })
export class EventFilterInput {
  @Field(() => [String], { nullable: true, description: 'Types; one that ends with a dot is a prefix: `rollout.`' })
  types?: string[] | null;

  @Field(() => String, {
    nullable: true,
    description: 'Only what concerns this deployment: `team/project/name` or its global id.',
  })
  deployment?: string | null;

  @Field(() => String, { nullable: true, description: 'Only what concerns this project: `team/project` or its global id.' })
  project?: string | null;

  @Field(() => [SeverityName], { nullable: true, description: 'Severities.' })
  severities?: Severity[] | null;
}

export const toEventType = (event: LogEvent, cursor: Cursor): EventType => ({
  cursor: encodeCursor(cursor),
  at: event.at,
  type: event.type,
  severity: event.severity,
  message: event.message,
  subjectKind: event.subjectKind,
  subjectId: toGlobalId(event.subjectKind, event.subjectId),
  deploymentId: event.deploymentId === null ? null : toGlobalId('Deployment', event.deploymentId),
  principal: event.principal,
  before: event.before,
  after: event.after,
});
