import type { IncomingMessage, ServerResponse } from 'node:http';

/** What the router itself answers, without a replica. */
export interface Refusal {
  readonly status: 400 | 401 | 404 | 429 | 501 | 502 | 503 | 504;
  readonly message: string;
  readonly headers?: readonly string[];
}

/** A caller that has its answer may go on sending its body for this long. Higher: uploads for nothing; lower: it is cut before it has read why. */
const LINGER_MS = 5_000;
/** Seconds after which a repeat makes sense. Higher: callers idle; lower: they hammer. */
const retryAfter = (seconds: number): readonly string[] => ['Retry-After', String(seconds)];
const RETRY_AFTER = retryAfter(1);

export const UNAUTHENTICATED: Refusal = {
  status: 401,
  message: 'A valid bearer token is needed.',
  headers: ['WWW-Authenticate', 'Bearer'],
};
/** Absent and forbidden alike. */
export const ABSENT: Refusal = { status: 404, message: 'No such deployment, or you may not invoke it.' };
/** `wakesInS`: where the first replica is still on its way. */
export const queueFull = (wakesInS: number | null): Refusal => ({
  status: 429,
  message: 'Too many requests are waiting for a replica.',
  headers: retryAfter(wakesInS ?? 1),
});
export const stillWaking = (wakesInS: number): Refusal => ({
  status: 503,
  message: 'Its first replica is starting and was not ready before the deadline.',
  headers: retryAfter(wakesInS),
});
export const asleep = (path: string): Refusal => ({
  status: 503,
  message: `It is scaled to 0 replicas. Wake it with the mutation scaleDeployment, or with: purser scale ${path} --replicas 1`,
});
export const NO_REPLICA: Refusal = { status: 503, message: 'No replica is ready.', headers: RETRY_AFTER };
export const NO_UPGRADE: Refusal = {
  status: 501,
  message: 'Connections cannot be upgraded here (WebSocket): stream over HTTP, for example with server-sent events.',
};
export const NO_TABLE: Refusal = { status: 503, message: 'The router has no table yet.', headers: RETRY_AFTER };
export const STALE_TABLE: Refusal = { status: 503, message: "The router's table is older than it may be.", headers: RETRY_AFTER };
export const REPLICA_FAILED: Refusal = { status: 502, message: 'The replica failed before it answered.' };
export const TOO_LATE: Refusal = { status: 504, message: 'No answer before the deadline.' };
export const malformed = (message: string): Refusal => ({ status: 400, message });

export function refuse(response: ServerResponse, requestId: string, refusal: Refusal): void {
  if (response.headersSent) return;
  const body = JSON.stringify({ error: refusal.message });
  response.writeHead(refusal.status, [
    'Content-Type',
    'application/json',
    'Content-Length',
    String(Buffer.byteLength(body)),
    'Purser-Request-Id',
    requestId,
    ...(refusal.headers ?? []),
  ]);
  response.end(body);
}

/** A body that nobody wants any more is read and dropped for a while, so that the caller gets the answer; then the connection ends. */
export function linger(request: IncomingMessage): void {
  if (request.complete) return;
  const { socket } = request;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  const stop = (): void => {
    clearTimeout(timer);
    socket.off('close', stop);
  };
  request.once('end', stop);
  socket.once('close', stop);
  request.resume();
}
