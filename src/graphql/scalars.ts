import { GraphQLError, GraphQLScalarType, Kind } from 'graphql';
import type { Instant } from '../kernel/instant.ts';
import type { Json } from '../kernel/event.ts';

/** RFC 3339 in UTC on the wire, integer milliseconds inside. */
export const DateTime = new GraphQLScalarType<Instant, string>({
  name: 'DateTime',
  description: 'An instant in UTC, RFC 3339 with milliseconds: 2026-01-31T12:00:00.000Z.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (value) => new Date(value as number).toISOString(),
  parseValue: (value) => parseDateTime(value),
  parseLiteral: (node) => parseDateTime(node.kind === Kind.STRING ? node.value : null),
});

const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

function parseDateTime(value: unknown): Instant {
  const at = typeof value === 'string' && RFC3339.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(at)) throw new GraphQLError('DateTime must be RFC 3339, for example 2026-01-31T12:00:00Z.');
  return at;
}

/** Exact decimal number as a string: never a float. */
export const Decimal = new GraphQLScalarType<string, string>({
  name: 'Decimal',
  description: 'An exact decimal number as a string: at most 26 digits before and 12 after the point.',
  serialize: (value) => String(value),
  parseValue: (value) => parseDecimal(value),
  parseLiteral: (node) => parseDecimal('value' in node ? node.value : null),
});

function parseDecimal(value: unknown): string {
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text === 'string' && /^-?\d{1,26}(?:\.\d{1,12})?$/.test(text)) return text;
  throw new GraphQLError('Decimal must be a string such as "0.25".');
}

/** Integers beyond 32 bits: byte counts, micro-seconds. */
export const BigInteger = new GraphQLScalarType<number, number>({
  name: 'BigInt',
  description: 'An integer between -(2^53 - 1) and 2^53 - 1, as a JSON number.',
  serialize: (value) => Number(value),
  parseValue: (value) => parseBigInteger(value),
  parseLiteral: (node) => parseBigInteger(node.kind === Kind.INT ? Number(node.value) : null),
});

function parseBigInteger(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new GraphQLError('BigInt must be an integer of at most 53 bits.');
}

/** Free-form JSON: what changed, before and after. Output only. */
export const JsonValue = new GraphQLScalarType<Json, Json>({
  name: 'JSON',
  description: 'Any JSON value. Only in answers.',
  serialize: (value) => value as Json,
});

/** Position in the event log. */
export const EventCursor = new GraphQLScalarType<string, string>({
  name: 'EventCursor',
  description: 'Opaque position in the event log; pass it back as `after` to go on without loss.',
  serialize: (value) => String(value),
  parseValue: (value) => parseCursor(value),
  parseLiteral: (node) => parseCursor(node.kind === Kind.STRING ? node.value : null),
});

function parseCursor(value: unknown): string {
  if (typeof value === 'string' && value.length <= 200) return value;
  throw new GraphQLError('EventCursor must be a string that an earlier answer gave.');
}
