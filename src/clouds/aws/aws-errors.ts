import type { CloudResult } from '../cloud-provider.port.ts';

/** When no stock is worth another try. Higher: capacity that came back is noticed late; lower: an empty market is asked in vain. */
const STOCK_RETRY_MS = 120_000;
/** Limits are raised by people, and freed when other machines go. Higher and lower likewise. */
const QUOTA_RETRY_MS = 600_000;

const STOCK_OUT = [
  'InsufficientInstanceCapacity',
  'InsufficientHostCapacity',
  'InsufficientCapacity',
  'SpotMaxPriceTooLow',
  'UnfulfillableCapacity',
];

const QUOTA = [
  'VcpuLimitExceeded',
  'InstanceLimitExceeded',
  'MaxSpotInstanceCountExceeded',
  'MaxSpotFleetRequestCountExceeded',
  'PendingVerification',
  'ResourceLimitExceeded',
  'ResourceLimitExceededException',
  'LimitExceeded',
  'LimitExceededException',
  'LaunchTemplateVersionLimitExceeded',
  'InsufficientFreeAddressesInSubnet',
];

/** Said with status 400, though nothing is wrong with what was asked. */
const BUSY = [
  'RequestLimitExceeded',
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'TooManyRequestsException',
  'BandwidthLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'EC2ThrottledException',
  'PriorRequestNotComplete',
  'RequestTimeout',
  'RequestTimeoutException',
  'RequestExpired',
  'InternalError',
  'InternalFailure',
  'Unavailable',
  'ServiceUnavailable',
  'ServerInternal',
  'ScalingActivityInProgress',
  'ResourceContention',
  'ResourceInUse',
  'ResourceInUseException',
  'IncorrectState',
];

/** Nobody can be asked with these credentials: nothing is known of what they would have been answered. */
const NOT_LET_IN = [
  'AuthFailure',
  'UnauthorizedOperation',
  'AccessDenied',
  'AccessDeniedException',
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'ExpiredToken',
  'ExpiredTokenException',
  'SignatureDoesNotMatch',
  'OptInRequired',
  'Blocked',
  'RequestTimeTooSkewed',
];

/** What AWS said no with; its effect is known to be none. */
export class AwsRefusal extends Error {
  override readonly name = 'AwsRefusal';
  readonly code: string;

  constructor(code: string, message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

interface SdkError {
  readonly name: string;
  readonly message: string;
  readonly status: number | null;
}

function read(error: unknown): SdkError {
  if (!(error instanceof Error)) return { name: 'Unknown', message: String(error), status: null };
  const metadata = '$metadata' in error ? (error.$metadata as { readonly httpStatusCode?: number }) : {};
  return { name: error.name, message: error.message, status: metadata.httpStatusCode ?? null };
}

/** The refusal that an error of the SDK is; null = the effect is unknown, or nobody could be asked. */
export function refusalIn(error: unknown): AwsRefusal | null {
  const { name, message, status } = read(error);
  if (STOCK_OUT.includes(name) || QUOTA.includes(name)) return new AwsRefusal(name, message, error);
  if (status === null || status < 400 || status >= 500 || status === 429 || status === 408) return null;
  return BUSY.includes(name) || NOT_LET_IN.includes(name) ? null : new AwsRefusal(name, message, error);
}

/** True if the credentials may not do what was asked, as opposed to a provider that does not answer. */
export const isDenied = (error: unknown): boolean => NOT_LET_IN.includes(read(error).name);

/** One line for people: code and words. */
export function wordsOf(error: unknown): string {
  const { name, message } = read(error);
  const line = message.split('\n')[0] ?? '';
  return ['Error', 'CloudUnknown'].includes(name) || line.startsWith(name) ? line : `${name}: ${line}`;
}

/** The refusal that a text of AWS tells of, where the code is only in its words; null = none that is known. */
export function refusalInWords(text: string): AwsRefusal | null {
  const code = [...STOCK_OUT, ...QUOTA].find((one) => text.includes(one));
  return code === undefined ? null : new AwsRefusal(code, text, null);
}

/** A refusal in the words of the port. */
export function resultOf({ code, message }: AwsRefusal): CloudResult {
  const refused = { outcome: 'refused', message: `${code}: ${message}` } as const;
  if (STOCK_OUT.includes(code)) return { ...refused, reason: 'STOCK_OUT', retryAfterMs: STOCK_RETRY_MS };
  if (QUOTA.includes(code)) return { ...refused, reason: 'QUOTA', retryAfterMs: QUOTA_RETRY_MS };
  return { ...refused, reason: 'INVALID', retryAfterMs: null };
}
