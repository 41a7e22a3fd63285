import type { Id } from './id.ts';
import type { Instant } from './instant.ts';

/** Anything that JSON can carry. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export type Severity = 'info' | 'warning' | 'error';

/** Who changes something, and when. */
export interface Cause {
  readonly at: Instant;
  /** A principal id, or `reconciler:<loop>`. */
  readonly principal: string;
}

/**
 * An event before it has a position. Built by one constructor per type in a feature's `*.events.ts`, from (before, after), and
 * appended in the transaction that makes the change.
 */
export interface EventDraft {
  /** `<subject kind>.<what happened>`, for example `deployment.created`; lower case, dots and underscores. */
  readonly type: string;
  /** The GraphQL type name of the subject, for example `Deployment`. */
  readonly subjectKind: string;
  readonly subjectId: Id;
  /** The subject's own version after the change; rises by at least one per event of a subject. */
  readonly subjectVersion: number;
  /** The tenant; null for platform-wide facts (clusters, prices). */
  readonly teamId: Id | null;
  readonly projectId: Id | null;
  /** The deployment that it concerns, if any, so that one deployment's story is one filter. */
  readonly deploymentId: Id | null;
  readonly severity: Severity;
  readonly at: Instant;
  /** Who caused it: a principal id, or `reconciler:<loop>`. */
  readonly principal: string;
  /** One sentence for people. */
  readonly message: string;
  readonly before: Json;
  readonly after: Json;
}
