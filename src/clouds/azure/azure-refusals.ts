import type { CloudResult } from '../cloud-provider.port.ts';

/** What Azure said no with. */
export interface AzureRefusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** When no stock is worth another try. Higher: capacity that came back is noticed late; lower: an empty market is asked in vain. */
const STOCK_RETRY_MS = 120_000;
/** Limits are raised by people, and freed when other machines go. Higher and lower likewise. */
const QUOTA_RETRY_MS = 600_000;

const STOCK_OUT =
  /^(SkuNotAvailable|AllocationFailed|ZonalAllocationFailed|Overconstrained(Zonal)?AllocationRequest|VMSizeNotSupported|NoCapacity|SpotAllocationFailed)$/i;
const QUOTA =
  /^(QuotaExceeded|(ErrCode_)?Insufficient(VCPUQuota|SubnetSize)|ResourceQuotaExceeded|PublicIPCountLimitReached|SubnetIsFull)$/i;
/** Something else is going on, or something changed meanwhile: the same call is right a little later. */
const BUSY =
  /^(AnotherOperationInProgress|OperationPreempted|OperationNotAllowed|Conflict|PreconditionFailed|EtagMismatch|RetryableError|InternalOperationError|InternalExecutionError|TooManyRequests|SubscriptionRequestsThrottled)$/i;
const MAX_WORDS = 300;

/** The refusal in the words of the port; null = nothing follows from it: nobody was let in, or something else is going on. */
export function resultOf({ status, code, message }: AzureRefusal): CloudResult | null {
  const refused = { outcome: 'refused', message: `${code}: ${message}`.slice(0, MAX_WORDS) } as const;
  // AKS tells what its scale set was told in its words: ReconcileVMSSAgentPoolFailed: Code="AllocationFailed" Message="…".
  const codes = [code, ...[...message.matchAll(/\bcode[=:] ?"?(\w+)/gi)].map(([, inner = '']) => inner)];
  if (codes.some((one) => STOCK_OUT.test(one))) return { ...refused, reason: 'STOCK_OUT', retryAfterMs: STOCK_RETRY_MS };
  // Scale sets say OperationNotAllowed for both; the words tell which.
  if (codes.some((one) => QUOTA.test(one)) || (codes.some(isNotAllowed) && /quota/i.test(message)))
    return { ...refused, reason: 'QUOTA', retryAfterMs: QUOTA_RETRY_MS };
  if ([401, 403, 409, 412].includes(status) || codes.some((one) => BUSY.test(one))) return null;
  return { ...refused, reason: 'INVALID', retryAfterMs: null };
}

const isNotAllowed = (code: string): boolean => /^OperationNotAllowed$/i.test(code);
