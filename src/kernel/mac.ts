import { createHmac, timingSafeEqual } from 'crypto';

/** HMAC-SHA256 of the text (RFC 2104), base64url. */
export const macOf = (secret: string, text: string): string => createHmac('sha256', secret).update(text).digest('base64url');

/** True if `mac` is that of the text; takes the same time wherever they differ. */
export function isMacOf(mac: string, secret: string, text: string): boolean {
  const wanted = new TextEncoder().encode(macOf(secret, text));
  const given = new TextEncoder().encode(mac);
  return wanted.length === given.length && timingSafeEqual(wanted, given);
}
