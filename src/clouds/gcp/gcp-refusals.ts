import type { CloudRefusal, CloudResult } from '../cloud-provider.port.ts';

/** What Google said no with: a reason of the API, a code of an operation, or the error of a machine that was not made. */
export interface GcpRefusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** When no stock is worth another try. Higher: capacity that came back is noticed late; lower: an empty market is asked in vain. */
const STOCK_RETRY_MS = 120_000;
/** Limits are raised by people, and freed when other machines go. Higher and lower likewise. */
const QUOTA_RETRY_MS = 600_000;
const MAX_WORDS = 300;

const STOCK_OUT = /ZONE_RESOURCE_POOL_EXHAUSTED|RESOURCE_POOL_EXHAUSTED|STOCKOUT|VM_MIN_COUNT_NOT_REACHED/;
const QUOTA = /QUOTA_EXCEEDED|quotaExceeded|IP_SPACE_EXHAUSTED/;
/** Something else is going on, or something changed meanwhile: the same call is right a little later. */
const BUSY =
  /^(rateLimitExceeded|resourceNotReady|resourceInUse.*|conditionNotMet|CONDITION_NOT_MET|FAILED_PRECONDITION|ABORTED|UNAVAILABLE|INTERNAL|INTERNAL_ERROR|DEADLINE_EXCEEDED|RESOURCE_OPERATION_RATE_EXCEEDED|RESOURCE_NOT_READY|RESOURCE_IN_USE.*)$/;

/** Why a machine was not made: null = for another reason than stock and quota. */
export function scarcityOf({
  code,
  message,
}: Pick<GcpRefusal, 'code' | 'message'>): Extract<CloudRefusal, 'STOCK_OUT' | 'QUOTA'> | null {
  const text = `${code} ${message}`;
  if (STOCK_OUT.test(text)) return 'STOCK_OUT';
  return QUOTA.test(text) ? 'QUOTA' : null;
}

/** The refusal in the words of the port; null = nothing follows from it: nobody was let in, or something else is going on. */
export function resultOf(refusal: GcpRefusal): Extract<CloudResult, { outcome: 'refused' }> | null {
  const { status, code } = refusal;
  const refused = { outcome: 'refused', message: `${code}: ${refusal.message}`.slice(0, MAX_WORDS) } as const;
  const scarce = scarcityOf(refusal);
  if (scarce !== null) return { ...refused, reason: scarce, retryAfterMs: scarce === 'QUOTA' ? QUOTA_RETRY_MS : STOCK_RETRY_MS };
  if ([401, 403, 409, 412].includes(status) || BUSY.test(code)) return null;
  return { ...refused, reason: 'INVALID', retryAfterMs: null };
}
