import { ClusterUnreachable, type ApplyResult } from '../../deployments/cluster.port.ts';
import { isOutage, KubernetesError } from '../api/errors.ts';
import { isEnding, isQuota } from './workload-problem.ts';

/** Ends a change with an answer of the port. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly result: ApplyResult;

  constructor(result: ApplyResult) {
    super(result.outcome);
    this.result = result;
  }
}

export const refusal = (reason: string, message: string): Refusal => new Refusal({ outcome: 'refused', reason, message });

/** What a failed change means for the port: an answer where the cluster said no, else `ClusterUnreachable` is thrown. */
export function answerOf(error: unknown): ApplyResult {
  if (error instanceof Refusal) return error.result;
  if (isOutage(error) || !(error instanceof KubernetesError)) throw unreachable(error);
  return { outcome: 'refused', ...wordsOf(error) };
}

/** What the port throws for an outage; a programming error stays what it is. */
export function unreachable(error: unknown): Error {
  if (error instanceof ClusterUnreachable) return error;
  if (isOutage(error) || error instanceof KubernetesError)
    return new ClusterUnreachable(`The cluster cannot be reached: ${(error as Error).message}`, { cause: error });
  return error as Error;
}

function wordsOf({
  status,
  message,
}: KubernetesError): Pick<Extract<ApplyResult, { outcome: 'refused' }>, 'reason' | 'message' | 'waits'> {
  if (isEnding(message))
    return { reason: 'NAMESPACE_ENDING', message: `${message}. It is made again when that is over.`, waits: true };
  if (isQuota(message)) return { reason: 'QUOTA_EXCEEDED', message };
  if (status === 403 && /\bcannot (get|list|watch|create|patch|update|delete)\b/.test(message))
    return { reason: 'RIGHTS_MISSING', message: `${message}. The cluster's operator has to give Purser's account this right.` };
  return { reason: 'ADMISSION_REFUSED', message };
}
