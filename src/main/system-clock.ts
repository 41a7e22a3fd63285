import { randomBytes, randomInt } from 'node:crypto';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';

/** The real clock; the only one that production uses. */
export const systemClock: Clock = { now: () => Date.now() };

const FRACTION_STEPS = 2 ** 47;

/** Cryptographic randomness. */
export const systemRandom: Random = {
  bytes: (count) => randomBytes(count),
  fraction: () => randomInt(FRACTION_STEPS) / FRACTION_STEPS,
};
