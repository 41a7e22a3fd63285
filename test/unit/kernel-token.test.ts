// A seeded source of randomness; each token is made, then damaged in one place.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newToken, tokenType } from '../../src/kernel/token.ts';

const randomOf = (bytes: Uint8Array) => ({ bytes: () => bytes, fraction: () => 0 });
const secret = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe('Tokens have a typed prefix and a checksum', () => {
  test('a fresh token tells its type and has one fixed length', () => {
    fc.assert(
      fc.property(secret, fc.constantFrom('admin', 'user', 'service', 'router', 'workload'), (bytes, type) => {
        const token = newToken(type, randomOf(bytes));
        expect(tokenType(token)).toBe(type);
        expect(token).toHaveLength('purser_'.length + type.length + 1 + 49);
      }),
    );
  });

  test('a token with one changed character is refused before any look-up', () => {
    fc.assert(
      fc.property(secret, fc.nat(48), (bytes, at) => {
        const token = newToken('user', randomOf(bytes));
        const i = 'purser_user_'.length + at;
        const changed = token.slice(0, i) + (token[i] === 'a' ? 'b' : 'a') + token.slice(i + 1);
        expect(tokenType(changed)).toBeNull();
      }),
    );
  });

  test('two secrets never give one token', () => {
    fc.assert(
      fc.property(secret, secret, (a, b) => {
        fc.pre(Buffer.compare(a, b) !== 0);
        expect(newToken('user', randomOf(a))).not.toBe(newToken('user', randomOf(b)));
      }),
    );
  });
});
