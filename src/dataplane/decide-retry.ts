import type { RouteRevision } from '../traffic/router-contract/route-table.ts';

/** Bodies up to this are kept for replay. Higher: memory per request in flight; lower: fewer requests survive a dying replica. */
export const REPLAY_LIMIT_BYTES = 256 * 1024;
/** Attempts per request, the first included. Higher: a poisonous request visits more replicas; lower: two deaths at once are felt. */
const MAX_ATTEMPTS = 4;

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

export interface FailedAttempt {
  readonly method: string;
  readonly revision: Pick<RouteRevision, 'protocol' | 'retryable'>;
  /** Attempts made so far. */
  readonly attempts: number;
  /** The request had begun to be written to the replica. */
  readonly written: boolean;
  /** The whole body can be sent again, or none of it was sent. */
  readonly replayable: boolean;
  /** The caller has seen a byte of the answer. */
  readonly answered: boolean;
}

/** Whether a request whose connection failed may go to a replica again (the budget is asked afterwards). */
export function mayRetry(failed: FailedAttempt): boolean {
  if (failed.answered || !failed.replayable || failed.attempts >= MAX_ATTEMPTS) return false;
  if (!failed.written) return true;
  const { protocol, retryable } = failed.revision;
  return retryable || protocol !== 'http' || SAFE_METHODS.has(failed.method);
}
