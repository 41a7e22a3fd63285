import type { Instant } from '../../kernel/instant.ts';
import { KubernetesError, KubernetesUnreachable, NO_SUCH_RESOURCE, type StatusCause } from './errors.ts';

export interface Answer {
  /** What was asked, for messages. */
  readonly path: string;
  readonly status: number;
  /** The `Retry-After` header; null = none. */
  readonly retryAfter: string | null;
  readonly text: string;
}

/** The answer as JSON object. Throws `KubernetesError` for a refusal, `KubernetesUnreachable` for what no API server says. */
export function readAnswer(answer: Answer, now: Instant): Readonly<Record<string, unknown>> {
  const json = jsonObject(answer.text);
  if (answer.status < 200 || answer.status > 299) throw refusal(answer, json, now);
  if (json === null)
    throw new KubernetesUnreachable('garbage', `${answer.path}: the answer is not a JSON object: ${excerpt(answer.text)}`);
  return json;
}

/** What an answer other than 2xx means. */
export function refusal(answer: Answer, json: Json | null, now: Instant): KubernetesError | KubernetesUnreachable {
  const headerMs = retryAfterMs(answer.retryAfter, now);
  if (json?.['kind'] === 'Status') return errorOfStatus(json, answer.status, headerMs);
  const message = `${answer.path}: answered ${answer.status}: ${excerpt(answer.text)}`;
  // Something between us and the server speaks for it.
  if (answer.status >= 500 && answer.status !== 503) return new KubernetesUnreachable('garbage', message);
  const more = { status: answer.status, retryAfterMs: headerMs, causes: [], objectName: null };
  // A group, version or kind that it does not know is answered in plain text.
  if (answer.status === 404)
    return new KubernetesError({ ...more, reason: NO_SUCH_RESOURCE, message: `the server does not serve ${answer.path}` });
  return new KubernetesError({ ...more, reason: '', message });
}

type Json = Readonly<Record<string, unknown>>;

/** The error that a `Status` object tells; `fallbackStatus` where it carries no code. */
export function errorOfStatus(status: Json, fallbackStatus: number, headerMs: number | null): KubernetesError {
  const details = isObject(status['details']) ? status['details'] : {};
  const seconds = details['retryAfterSeconds'];
  const code = status['code'];
  return new KubernetesError({
    status: typeof code === 'number' ? code : fallbackStatus,
    reason: text(status['reason']),
    message: text(status['message']) || `answered ${fallbackStatus}`,
    retryAfterMs: headerMs ?? (typeof seconds === 'number' ? seconds * 1000 : null),
    causes: causesOf(details['causes']),
    objectName: text(details['name']) || null,
  });
}

/** `Retry-After` as seconds or as a date (RFC 9110, 10.2.3). */
export function retryAfterMs(header: string | null, now: Instant): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const at = header.trim().endsWith('GMT') ? Date.parse(header) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

function causesOf(value: unknown): StatusCause[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter(isObject)
    .map((cause) => ({ field: text(cause['field']), reason: text(cause['reason']), message: text(cause['message']) }));
}

export function jsonObject(value: string): Json | null {
  try {
    const parsed: unknown = JSON.parse(value);
    return isObject(parsed) ? parsed : null;
  } catch {
    return null;
  }
}

export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Enough of a foreign answer to know it by, in one line. */
const excerpt = (value: string): string => JSON.stringify(value.slice(0, 200));
