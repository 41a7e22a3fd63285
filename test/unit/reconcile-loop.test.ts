// Drives a loop with bodies that the test opens and closes; long intervals, so that only signals make it run.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../src/reconcile/backoff.ts';
import { inOrder, Loop, once } from '../../src/reconcile/loop.ts';
import { eventually } from '../support/eventually.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const random = { fraction: () => 0, bytes: (count: number) => new Uint8Array(count) };
const HOUR = 3_600_000;

const makeLoop = (
  body: (signal: AbortSignal) => Promise<void>,
  more: { everyMs?: number; restMs?: number; backoff?: { baseMs: number; maxMs: number } } = {},
) => new Loop({ name: 'test', everyMs: HOUR, body, random, logger: quietLogger, ...more });

describe('Loop: runs by timer and signal, never twice at once', () => {
  it('never overlaps, and many wakes during a run make one more', async () => {
    let running = 0;
    let runs = 0;
    let gate = Promise.withResolvers<undefined>();
    const loop = makeLoop(async () => {
      expect((running += 1)).toBe(1);
      runs += 1;
      await gate.promise;
      running -= 1;
    });
    loop.start();
    await eventually(() => runs === 1);
    for (let n = 0; n < 10; n += 1) loop.wake();
    const first = gate;
    gate = Promise.withResolvers();
    first.resolve(undefined);
    await eventually(() => runs === 2);
    gate.resolve(undefined);
    await eventually(() => running === 0);
    expect(runs).toBe(2);
    await loop.stop();
  });

  it('runs again by itself', async () => {
    let runs = 0;
    const loop = makeLoop(() => Promise.resolve(void (runs += 1)), { everyMs: 5 });
    loop.start();
    await eventually(() => runs >= 3);
    await loop.stop();
  });

  it('backs off after failures and goes on', async () => {
    let runs = 0;
    const loop = makeLoop(
      () => {
        runs += 1;
        return runs < 3 ? Promise.reject(new Error('down')) : Promise.resolve();
      },
      { backoff: { baseMs: 4, maxMs: 8 } },
    );
    loop.start();
    await eventually(() => runs === 3);
    await loop.stop();
  });

  it('a wake does not shorten a back-off', async () => {
    let runs = 0;
    const loop = makeLoop(() => Promise.reject(new Error(`down ${(runs += 1)}`)), { backoff: { baseMs: HOUR, maxMs: HOUR } });
    loop.start();
    await eventually(() => runs === 1);
    for (let n = 0; n < 5; n += 1) {
      loop.wake();
      await Promise.resolve();
    }
    expect(runs).toBe(1);
    await loop.stop();
  });

  it('a loop that rests is woken once the rest is over, however often it is asked, and at once by what is urgent', async () => {
    let runs = 0;
    const resting = makeLoop(() => Promise.resolve(void (runs += 1)), { restMs: HOUR / 2 });
    resting.start();
    await eventually(() => runs === 1);
    for (let n = 0; n < 5; n += 1) {
      resting.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(runs).toBe(1);
    resting.wake({ isUrgent: true });
    await eventually(() => runs === 2);
    await resting.stop();
    const rested = makeLoop(() => Promise.resolve(void (runs += 1)), { restMs: 1 });
    rested.start();
    await eventually(() => runs === 3);
    rested.wake();
    await eventually(() => runs === 4);
    await rested.stop();
  });

  it('stop aborts the run under way and waits for it', async () => {
    let ended = false;
    let started = false;
    const loop = makeLoop(async (signal) => {
      started = true;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      ended = true;
    });
    loop.start();
    await eventually(() => started);
    await loop.stop();
    expect(ended).toBe(true);
  });

  it('prepare, plan, execute: in this order, and nothing is executed after the stop', async () => {
    const steps: string[] = [];
    const body = once(
      {
        prepare: () => Promise.resolve(steps.push('prepare')),
        plan: (input: number, now) => `plan ${input} at ${now}`,
        execute: (plan) => Promise.resolve(void steps.push(plan)),
      },
      { now: () => 7 },
    );
    await body(new AbortController().signal);
    expect(steps).toEqual(['prepare', 'plan 1 at 7']);
    await expect(body(AbortSignal.abort())).rejects.toThrow();
    expect(steps).toEqual(['prepare', 'plan 1 at 7', 'prepare']);
  });
});

describe('Loop: a body of several', () => {
  it('one that fails does not keep the later ones, and its failure is told at the end', async () => {
    const ran: string[] = [];
    const body = inOrder(
      () => Promise.reject(new Error('the first')),
      () => Promise.resolve(ran.push('second')),
      () => Promise.reject(new Error('the third')),
      () => Promise.resolve(ran.push('fourth')),
    );
    await expect(body(new AbortController().signal)).rejects.toThrow('the first');
    expect(ran).toEqual(['second', 'fourth']);
  });

  it('who is told to stop begins no other one', async () => {
    const stopping = new AbortController();
    const stop = (): Promise<void> => {
      stopping.abort(new Error('enough'));
      return Promise.resolve();
    };
    await expect(inOrder(stop, () => Promise.reject(new Error('never')))(stopping.signal)).rejects.toThrow('enough');
  });
});

describe('Back-off', () => {
  it('grows from half the base to the maximum and never past it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, fraction) => {
        const wait = backoffMs(failures, { baseMs: 100, maxMs: 5_000 }, { ...random, fraction: () => fraction });
        const full = Math.min(5_000, 100 * 2 ** (failures - 1));
        expect(wait).toBeGreaterThanOrEqual(Math.floor(full / 2));
        expect(wait).toBeLessThanOrEqual(full);
      }),
    );
  });
});
