import { digestOf } from './digest.ts';
import { invariant } from './invariant.ts';
import type { Random } from './random.ts';

/** What a token is for; part of its text, so that a leaked one can be recognised and a wrong one refused before any look-up. */
export type TokenType = 'admin' | 'user' | 'service' | 'router' | 'workload';

const TYPES: readonly TokenType[] = ['admin', 'user', 'service', 'router', 'workload'];
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SECRET_BYTES = 32;
const SECRET_CHARS = 43;
const CHECK_CHARS = 6;
const TOKEN = new RegExp(`^purser_(${TYPES.join('|')})_([0-9A-Za-z]{${SECRET_CHARS}})([0-9A-Za-z]{${CHECK_CHARS}})$`);

/** `purser_<type>_<256 random bits in base 62><CRC-32 in base 62>`. Shown once; only its SHA-256 is stored. */
export function newToken(type: TokenType, random: Random): string {
  const bytes = random.bytes(SECRET_BYTES);
  invariant(bytes.length === SECRET_BYTES, 'newToken: short read of randomness');
  const secret = base62(
    bytes.reduce((all, byte) => (all << 8n) | BigInt(byte), 0n),
    SECRET_CHARS,
  );
  const body = `purser_${type}_${secret}`;
  return `${body}${checksum(body)}`;
}

/** The token's type, or null when prefix, length, alphabet or checksum is wrong. */
export function tokenType(token: string): TokenType | null {
  const match = TOKEN.exec(token);
  if (!match) return null;
  const body = token.slice(0, -CHECK_CHARS);
  return checksum(body) === match[3] ? (match[1] as TokenType) : null;
}

const checksum = (body: string): string => base62(BigInt(crc32(body)), CHECK_CHARS);

function base62(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest /= 62n) text = (ALPHABET[Number(rest % 62n)] ?? '') + text;
  return text;
}

/** CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320) of ASCII text. */
function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i += 1) {
    crc ^= text.charCodeAt(i);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Lower-case hex SHA-256 of a token: what is stored and what routers compare. */
export const hashOfToken = (token: string): string => digestOf(token).slice('sha256:'.length);
