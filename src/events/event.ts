import type { EventDraft, Severity } from '../kernel/event.ts';
import type { Scope } from '../kernel/transaction.ts';

/** An event with its place in the log. */
export interface LogEvent extends EventDraft {
  readonly position: number;
}

/** What a reader wants to see of what it may see; absent = all. */
export interface EventFilter {
  /** Exact types, or a prefix that ends with a dot: `rollout.` */
  readonly types?: readonly string[] | undefined;
  readonly subjectKind?: string | undefined;
  readonly subjectId?: string | undefined;
  readonly deploymentId?: string | undefined;
  readonly projectId?: string | undefined;
  readonly teamIds?: readonly string[] | undefined;
  readonly severities?: readonly Severity[] | undefined;
}

/**
 * The rows that row-level security would show to this scope. The live tail reads every team's events at once, so this is its wall;
 * the two must agree.
 */
export const isVisible = (event: LogEvent, scope: Scope): boolean =>
  scope.kind !== 'tenant' || (event.teamId !== null && scope.teamIds.includes(event.teamId));

export function matches(event: LogEvent, filter: EventFilter): boolean {
  return (
    matchesType(event, filter.types) &&
    isOneOf(event.severity, filter.severities) &&
    isOneOf(event.teamId, filter.teamIds) &&
    isSame(event.subjectKind, filter.subjectKind) &&
    isSame(event.subjectId, filter.subjectId) &&
    isSame(event.deploymentId, filter.deploymentId) &&
    isSame(event.projectId, filter.projectId)
  );
}

const isSame = (value: string | null, wanted: string | undefined): boolean => wanted === undefined || value === wanted;

const isOneOf = (value: string | null, wanted: readonly string[] | undefined): boolean =>
  wanted === undefined || (value !== null && wanted.includes(value));

const matchesType = (event: LogEvent, types: readonly string[] | undefined): boolean =>
  types === undefined || types.some((type) => (type.endsWith('.') ? event.type.startsWith(type) : event.type === type));
