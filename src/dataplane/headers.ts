/** Meant for one connection, not for the request (RFC 9110 §7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Request headers that reach a replica, besides those that start with an allowed prefix. Anything else is dropped. */
const ALLOWED = new Set([
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'baggage',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'digest',
  'content-digest',
  'idempotency-key',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'inference-header-content-length',
  'last-event-id',
  'origin',
  'pragma',
  'prefer',
  'priority',
  'range',
  'referer',
  'traceparent',
  'tracestate',
  'user-agent',
  'want-digest',
]);
const ALLOWED_PREFIXES = ['x-', 'openai-', 'grpc-', 'triton-', 'sec-'];
/** Would carry a credential or claim an identity in spite of the allow-list's prefixes. */
const NEVER = new Set(['x-api-key', 'x-auth-token', 'x-forwarded-access-token', 'x-forwarded-user', 'x-amz-security-token']);

/** Names and values as received, filtered for the replica; the order and spelling stay. */
export function headersForReplica(raw: readonly string[], connection: string | undefined): string[] {
  const dropped = namedByConnection(connection);
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase();
    if (!mayPass(name) || dropped?.has(name)) continue;
    kept.push(raw[i] ?? '', raw[i + 1] ?? '');
  }
  return kept;
}

function mayPass(name: string): boolean {
  if (ALLOWED.has(name)) return true;
  return !NEVER.has(name) && ALLOWED_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** A replica's headers for the caller: all but those of the connection and those that only the router may say. */
export function headersForCaller(raw: readonly (Buffer | string)[]): string[] {
  const kept: string[] = [];
  let dropped: Set<string> | null = null;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = latin(raw[i]);
    const lower = name.toLowerCase();
    if (lower === 'connection') dropped = namedByConnection(latin(raw[i + 1]));
    if (HOP_BY_HOP.has(lower) || lower.startsWith('purser-')) continue;
    kept.push(name, latin(raw[i + 1]));
  }
  return dropped ? without(kept, dropped) : kept;
}

const without = (headers: readonly string[], names: ReadonlySet<string>): string[] =>
  headers.filter((_, i) => !names.has((headers[i - (i % 2)] ?? '').toLowerCase()));

const latin = (value: Buffer | string | undefined): string =>
  typeof value === 'string' ? value : (value?.toString('latin1') ?? '');

function namedByConnection(connection: string | undefined): Set<string> | null {
  if (!connection || /^(keep-alive|close)$/i.test(connection)) return null;
  const names = connection.split(',').map((name) => name.trim().toLowerCase());
  // A content-length that the caller could drop this way would let it smuggle a second request.
  return new Set(names.filter((name) => name !== 'content-length'));
}
