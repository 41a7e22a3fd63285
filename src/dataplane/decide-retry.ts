import type { RouteRevision } from '../traffic/router-contract/route-table.ts';

/** Bodies up to this are kept for replay. Higher: memory per request in flight; lower: fewer requests survive a dying replica. */
export const REPLAY_LIMIT_BYTES = 256 * 1024;
/** Replicas that see a request, the first included. Higher: a poisonous one visits more of them; lower: two deaths at once are felt. */
const MAX_ATTEMPTS = 4;
/** Replicas that are asked in vain to take a connection. Higher: callers wait while a whole cluster is dead; lower: many deaths at once are felt. */
const MAX_REFUSALS = 32;

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

export interface FailedAttempt {
  readonly method: string;
  readonly revision: Pick<RouteRevision, 'protocol' | 'retryable'>;
  /** Attempts made so far, and those of them that a replica may have seen something of. */
  readonly attempts: number;
  readonly sent: number;
  /** There is a replica that has not been asked and is not known to be dead. */
  readonly untried: boolean;
  /** The request had begun to be written to the replica. */
  readonly written: boolean;
  /** The whole body can be sent again, or none of it was sent. */
  readonly replayable: boolean;
  /** The caller has seen a byte of the answer. */
  readonly answered: boolean;
}

/** Whether a request whose connection failed may go to a replica again (the budget is asked afterwards). */
export function mayRetry(failed: FailedAttempt): boolean {
  const { attempts, sent, untried } = failed;
  if (failed.answered || !failed.replayable || sent >= MAX_ATTEMPTS) return false;
  if (!failed.written) return attempts < (untried ? MAX_REFUSALS : MAX_ATTEMPTS);
  const { protocol, retryable } = failed.revision;
  return retryable || protocol !== 'http' || SAFE_METHODS.has(failed.method);
}
