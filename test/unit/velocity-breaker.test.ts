// Builds what pools added as plain values and asks whether they may add more; a property runs random wishes of several pools through it.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { learnRefusal } from '../../src/fleet/capacity-answer.ts';
import { checkVelocity, VELOCITY_LIMITS, type Growth, type GrowthHold } from '../../src/fleet/velocity-breaker.ts';
import { HOUR_MS, MINUTE_MS } from '../../src/kernel/instant.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { NOW, uid } from '../support/nodes.ts';

const growth = (nodes: number, more: Partial<Growth> = {}): Growth => ({
  ...{ poolId: uid(1), at: NOW - MINUTE_MS, nodes, hourly: BigInt(nodes) * PICO_PER_USD },
  ...more,
});
const hold = (poolId: string | null, releasedAt: number | null): GrowthHold => ({
  ...{ id: uid(7), poolId, heldAt: NOW - 2 * MINUTE_MS, message: 'it is held', releasedAt },
});
const check = (wanted: Growth, growths: Growth[], holds: GrowthHold[] = []) =>
  checkVelocity(wanted, { growths, holds }, VELOCITY_LIMITS, NOW);

describe('Velocity breaker: a runaway is stopped until a person lets it go on', () => {
  test.each<[string, Growth, Growth[], GrowthHold[], number, string | null | undefined]>([
    ['an honest burst', growth(10), [growth(80)], [], 10, undefined],
    ['more than a pool may add', growth(10), [growth(95)], [], 5, uid(1)],
    ['what was added long ago', growth(10), [growth(95, { at: NOW - HOUR_MS })], [], 10, undefined],
    ['what another pool added', growth(10), [growth(95, { poolId: uid(2) })], [], 10, undefined],
    ['more than all may add', growth(10), [2, 3, 4].map((n) => growth(99, { poolId: uid(n) })), [], 3, null],
    [
      'more than may be spent',
      growth(10, { hourly: 600n * PICO_PER_USD }),
      [growth(1, { hourly: 500n * PICO_PER_USD })],
      [],
      8,
      null,
    ],
    ['nobody knows what it costs', growth(10, { hourly: null }), [growth(80)], [], 10, undefined],
    ['it is held', growth(1), [], [hold(uid(1), null)], 0, undefined],
    ['all are held', growth(1), [], [hold(null, null)], 0, undefined],
    ['another one is held', growth(1), [], [hold(uid(2), null)], 1, undefined],
    ['it was let go on since', growth(10), [growth(95)], [hold(uid(1), NOW - MINUTE_MS)], 10, undefined],
  ])('%s', (...[, wanted, growths, holds, allowed, trips]) => {
    const verdict = check(wanted, growths, holds);
    expect([verdict.allowed, verdict.trip?.poolId]).toEqual([allowed, trips]);
    expect(verdict.trip?.message ?? 'resume-growth').toContain('resume-growth');
  });

  test('whatever is asked for, no window holds more than may be added', () => {
    const wishes = fc.array(
      fc.record({
        pool: fc.integer({ min: 1, max: 5 }),
        nodes: fc.integer({ min: 1, max: 80 }),
        usd: fc.integer({ min: 0, max: 30 }),
      }),
      { minLength: 1, maxLength: 60 },
    );
    fc.assert(
      fc.property(wishes, (asked) => {
        const growths: Growth[] = [];
        const holds: GrowthHold[] = [];
        for (const [n, { pool, nodes, usd }] of asked.entries()) {
          const at = NOW + n * MINUTE_MS;
          const costOf = (count: number) => BigInt(count * usd) * PICO_PER_USD;
          const wanted = { poolId: uid(pool), nodes, hourly: costOf(nodes) };
          const { allowed, trip } = checkVelocity(wanted, { growths, holds }, VELOCITY_LIMITS, at);
          if (allowed > 0) growths.push({ ...wanted, at, nodes: allowed, hourly: costOf(allowed) });
          if (trip) holds.push({ ...trip, id: uid(n), heldAt: at, releasedAt: null });
        }
        const sum = (some: Growth[]) => some.reduce((all, one) => all + one.nodes, 0);
        expect(sum(growths)).toBeLessThanOrEqual(VELOCITY_LIMITS.nodes);
        for (const pool of [1, 2, 3, 4, 5])
          expect(sum(growths.filter(({ poolId }) => poolId === uid(pool)))).toBeLessThanOrEqual(VELOCITY_LIMITS.poolNodes);
        expect(growths.reduce((all, { hourly }) => all + (hourly ?? 0n), 0n)).toBeLessThanOrEqual(VELOCITY_LIMITS.hourly);
      }),
    );
  });
});

describe('Capacity: what a provider refuses is asked for ever less often', () => {
  const key = {
    provider: 'aws',
    region: 'us-east-1',
    zone: 'us-east-1a',
    instanceType: 'p4d.24xlarge',
    capacityType: 'spot' as const,
  };
  const said = { key, reason: 'STOCK_OUT' as const, message: 'none left', retryAfterMs: null };

  test('each refusal in a row doubles the wait, up to an hour; what comes meanwhile is the same one', () => {
    const first = learnRefusal(null, said, NOW);
    const again = learnRefusal(first, said, NOW + 1_000);
    const next = learnRefusal(again, said, again.until);
    expect([first, again, next].map(({ refusals, until }) => [refusals, until - NOW])).toEqual([
      [1, MINUTE_MS],
      [1, MINUTE_MS + 1_000],
      [2, MINUTE_MS + 1_000 + 2 * MINUTE_MS],
    ]);
    const worn = learnRefusal({ ...next, refusals: 400 }, said, next.until);
    expect([worn.until - next.until, worn.since]).toEqual([HOUR_MS, NOW]);
    expect(learnRefusal(null, { ...said, retryAfterMs: 2 * HOUR_MS }, NOW).until).toBe(NOW + 2 * HOUR_MS);
  });
});
