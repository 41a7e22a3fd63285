import type { Json } from '../kernel/event.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsd, PicoUsdPerHour } from '../kernel/money.ts';

export const DECISION_KINDS = [
  'deploy',
  'scale',
  'set_traffic',
  'rollback',
  'auto_rollback',
  'delete',
  'scale_pool',
  'consolidate',
  'preempt',
  'place_spot',
  'failover',
  'move',
] as const;

export type DecisionKind = (typeof DECISION_KINDS)[number];

/** What was decided and why, with everything that it was decided from. Never changed; the realised saving is joined later. */
export interface Decision {
  /** Version-7 UUID: sorts by time. */
  readonly id: Id;
  /** Null = about what belongs to no team, such as a pool. */
  readonly teamId: Id | null;
  readonly projectId: Id | null;
  readonly deploymentId: Id | null;
  readonly kind: DecisionKind;
  /** The GraphQL type name of the subject. */
  readonly subjectKind: string;
  readonly subjectId: Id;
  readonly at: Instant;
  /** A principal id, or `reconciler:<loop>`. */
  readonly principal: string;
  readonly inputs: Json;
  /** The best 20 with their scores. */
  readonly candidates: Json;
  /** A count per reason code. */
  readonly rejected: Json;
  readonly chosen: Json;
  readonly reasons: readonly string[];
  /** What it leads to, in pico-USD per hour; null where nothing is bought. */
  readonly expectedHourly: PicoUsdPerHour | null;
  readonly expectedSaving: PicoUsd | null;
  readonly realisedSaving: PicoUsd | null;
}

export type DecisionDraft = Omit<Decision, 'id' | 'expectedSaving' | 'realisedSaving'> & { readonly expectedSaving?: PicoUsd };
