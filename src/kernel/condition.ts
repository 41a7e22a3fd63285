import type { Instant } from './instant.ts';

/** Kubernetes' condition: one observed fact about a thing, with when it last changed. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase, machine-readable. */
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: Instant;
}

/** Replaces the condition of the same type; the transition time moves only when `status` does. */
export function withCondition(conditions: readonly Condition[], next: Condition): readonly Condition[] {
  const previous = conditions.find((condition) => condition.type === next.type);
  const kept = previous?.status === next.status ? { ...next, lastTransitionTime: previous.lastTransitionTime } : next;
  if (!previous) return [...conditions, kept];
  return conditions.map((condition) => (condition.type === next.type ? kept : condition));
}
