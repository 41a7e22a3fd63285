// One suite for every provider of machines: a factory opens one (a real service, a simulated one, a strict double), and only the port is used.
// What a provider cannot be brought to in a test (an account without stock) is not tried on it: `can` says what it can.
// Prices and bills of the same providers: price-feed-suite.ts, bill-suite.ts.
import { afterEach, describe, expect, test } from 'vitest';
import {
  CloudUnknown,
  type CloudFence,
  type CloudNode,
  type CloudPool,
  type CloudPoolState,
  type MachineProvider,
} from '../../src/clouds/cloud-provider.port.ts';

/** `throttled`: 429 or its like, for ever; `broken`: 500; `hangs`: no answer until the adapter gives up. */
export const TROUBLES = ['throttled', 'broken', 'hangs'] as const;
export type CloudTrouble = (typeof TROUBLES)[number];

/** A provider with a fresh account, which may rent at least four machines. */
export interface MachinesSubject {
  readonly provider: MachineProvider;
  /** A description that it can rent. */
  readonly pool: CloudPool;
  /** Time passes until what was wished for is there, and what was given back is gone. */
  readonly pass: () => void | Promise<void>;
  close?(): void | Promise<void>;
  /** From now on there are so many machines of the pool's kind in all, those that are rented included. */
  stock?(machines: number): void | Promise<void>;
  /** From now on the account may have so many machines in all. */
  quota?(machines: number): void | Promise<void>;
  /** The next call that changes something gets no answer: it never arrived, or was carried out. Each verb sends at least one. */
  lose?(what: 'request' | 'answer'): void | Promise<void>;
  /** From now on every call fares so; null = well again. */
  trouble?(how: CloudTrouble | null): void | Promise<void>;
  /** The provider wants the machine back. Its notice shows after `notice` at the latest; `pass` takes the machine away. */
  interrupt?(instanceId: string): void | Promise<void>;
}

export type MachineAbility = 'stock' | 'quota' | 'lose' | 'trouble' | 'interrupt' | 'epochs';

const FENCE: CloudFence = { epoch: 7 };
const ACCEPTED = { outcome: 'accepted' };
const isThere = ({ phase }: CloudNode): boolean => phase === 'running' || phase === 'starting';
const idsOf = (state: CloudPoolState | null): string[] =>
  (state?.nodes ?? []).filter(isThere).map(({ instanceId }) => instanceId);

/** The verbs of pools; `epochs`: it remembers them and refuses lower ones. */
export function machineProviderSuite(
  name: string,
  can: readonly MachineAbility[],
  open: () => MachinesSubject | Promise<MachinesSubject>,
): void {
  describe(`Cloud port: machines of ${name}`, () => {
    const opened: MachinesSubject[] = [];
    afterEach(async () => {
      for (const subject of opened.splice(0)) await subject.close?.();
    });
    const fresh = async (): Promise<MachinesSubject> => {
      const subject = await open();
      opened.push(subject);
      return subject;
    };
    const scale = ({ provider, pool }: MachinesSubject, desired: number, release: readonly string[] = []) =>
      provider.scalePool(pool.key, { desired, release }, FENCE);
    const settled = async ({ provider, pool, pass }: MachinesSubject): Promise<CloudPoolState> => {
      await pass();
      const state = await provider.observeNodes(pool.key);
      if (!state) throw new Error('there is no such pool');
      return state;
    };
    const machines = async (subject: MachinesSubject): Promise<string[]> => idsOf(await settled(subject)).sort();
    const withMachines = async (count: number): Promise<MachinesSubject> => {
      const subject = await fresh();
      expect(await subject.provider.ensurePool(subject.pool, FENCE)).toEqual(ACCEPTED);
      if (count > 0) expect(await scale(subject, count)).toEqual(ACCEPTED);
      return subject;
    };

    test('a pool is made once, without machines; a pool that is not there is null', async () => {
      const { provider, pool } = await fresh();
      expect(await provider.observeNodes(pool.key)).toBeNull();
      for (let n = 0; n < 3; n += 1) expect(await provider.ensurePool(pool, FENCE)).toEqual(ACCEPTED);
      expect(await provider.observeNodes(pool.key)).toEqual({ desired: 0, nodes: [] });
    });

    test('the same wish again asks for nothing new, at once and when it came true', async () => {
      const subject = await withMachines(2);
      for (let n = 0; n < 3; n += 1) expect(await scale(subject, 2)).toEqual(ACCEPTED);
      const first = await machines(subject);
      expect(first).toHaveLength(2);
      expect(await scale(subject, 2)).toEqual(ACCEPTED);
      const state = await settled(subject);
      expect(idsOf(state).sort()).toEqual(first);
      expect(state.desired).toBe(2);
      expect(state.nodes.every(({ phase }) => phase === 'running')).toBe(true);
    });

    test('another description keeps the machines that run', async () => {
      const subject = await withMachines(1);
      const first = await machines(subject);
      expect(await subject.provider.ensurePool({ ...subject.pool, labels: { tier: 'other' } }, FENCE)).toEqual(ACCEPTED);
      expect(await machines(subject)).toEqual(first);
    });

    test('machines are given back by name only, and the same names again give back no others', async () => {
      const subject = await withMachines(3);
      const [first = '', second = '', third = ''] = await machines(subject);
      expect(await scale(subject, 2)).toMatchObject({ outcome: 'refused', reason: 'NAME_MACHINES' });
      expect(await machines(subject)).toEqual([first, second, third]);
      expect(await scale(subject, 2, [second])).toEqual(ACCEPTED);
      expect(await scale(subject, 2, [second])).toEqual(ACCEPTED);
      expect(await machines(subject)).toEqual([first, third]);
      expect(await scale(subject, 2, [second])).toEqual(ACCEPTED);
      const state = await settled(subject);
      expect(idsOf(state).sort()).toEqual([first, third]);
      expect(state.desired).toBe(2);
    });

    test('a machine of another pool is not given back', async () => {
      const subject = await withMachines(1);
      const other = { ...subject, pool: { ...subject.pool, key: `${subject.pool.key}-other` } };
      await other.provider.ensurePool(other.pool, FENCE);
      await scale(other, 1);
      const [mine = ''] = await machines(subject);
      const theirs = await machines(other);
      expect(theirs).not.toContain(mine);
      expect(await scale(subject, 0, theirs)).toMatchObject({ outcome: 'refused', reason: 'NAME_MACHINES' });
      expect([await machines(subject), await machines(other)]).toEqual([[mine], theirs]);
    });

    test('the same cluster and pool of another installation is another pool: neither sees, scales or deletes the other', async () => {
      const subject = await withMachines(1);
      const other = { ...subject, pool: { ...subject.pool, key: subject.pool.key.replace(/^[^/]+/, 'elsewhere') } };
      const { provider } = subject;
      expect(await provider.observeNodes(other.pool.key)).toBeNull();
      expect(await scale(other, 1)).toMatchObject({ outcome: 'refused', reason: 'NO_SUCH_POOL' });
      expect(await provider.deletePool(other.pool.key, FENCE)).toEqual(ACCEPTED);
      expect(await provider.ensurePool(other.pool, FENCE)).toEqual(ACCEPTED);
      expect(await scale(other, 1)).toEqual(ACCEPTED);
      const [mine, theirs] = [await machines(subject), await machines(other)];
      expect([mine, theirs]).toMatchObject([{ length: 1 }, { length: 1 }]);
      expect(theirs).not.toEqual(mine);
      expect(await provider.deletePool(other.pool.key, FENCE)).toEqual(ACCEPTED);
      expect(await machines(subject)).toEqual(mine);
    });

    test('a pool so described is within reach', async () => {
      const { provider, pool } = await fresh();
      expect(provider.outOfReach(pool)).toBeNull();
    });

    test('a machine that is gone still shows as gone, and its name never comes back', async () => {
      const subject = await withMachines(1);
      const [first = ''] = await machines(subject);
      expect(await scale(subject, 0, [first])).toEqual(ACCEPTED);
      expect(await settled(subject)).toMatchObject({ desired: 0, nodes: [{ instanceId: first, phase: 'gone' }] });
      expect(await scale(subject, 1)).toEqual(ACCEPTED);
      const again = await machines(subject);
      expect(again).toHaveLength(1);
      expect(again).not.toContain(first);
    });

    test('a wish for a pool that is not there is refused', async () => {
      expect(await scale(await fresh(), 1)).toMatchObject({ outcome: 'refused', reason: 'NO_SUCH_POOL' });
    });

    test('a pool that is deleted gives everything back, and is absent however often it is said; made again it is empty', async () => {
      const subject = await withMachines(2);
      const { provider, pool, pass } = subject;
      const before = await machines(subject);
      for (let n = 0; n < 2; n += 1) expect(await provider.deletePool(pool.key, FENCE)).toEqual(ACCEPTED);
      await pass();
      expect(await provider.observeNodes(pool.key)).toBeNull();
      expect(await provider.deletePool(pool.key, FENCE)).toEqual(ACCEPTED);
      expect(await provider.ensurePool(pool, FENCE)).toEqual(ACCEPTED);
      expect(await machines(subject)).toEqual([]);
      expect(await scale(subject, 1)).toEqual(ACCEPTED);
      const after = await machines(subject);
      expect(after).toHaveLength(1);
      expect(before).not.toContain(after[0]);
    });

    test('nothing is interrupted where nobody said so', async () => {
      const subject = await withMachines(1);
      await subject.pass();
      expect(await subject.provider.interruptions()).toEqual([]);
    });

    if (can.includes('epochs'))
      test('an older leader changes nothing', async () => {
        const subject = await withMachines(1);
        const { provider, pool } = subject;
        const first = await machines(subject);
        const old = { epoch: FENCE.epoch - 1 };
        expect(await provider.scalePool(pool.key, { desired: 3, release: [] }, old)).toEqual({ outcome: 'stale_epoch' });
        expect(await provider.deletePool(pool.key, old)).toEqual({ outcome: 'stale_epoch' });
        expect(await machines(subject)).toEqual(first);
      });

    if (can.includes('epochs'))
      test('a later leader that only gives machines back holds up an older one, too', async () => {
        const subject = await withMachines(2);
        const { provider, pool } = subject;
        const [first = ''] = await machines(subject);
        expect(await provider.scalePool(pool.key, { desired: 1, release: [first] }, { epoch: 9 })).toEqual(ACCEPTED);
        const older = { epoch: 8 };
        expect(await provider.scalePool(pool.key, { desired: 2, release: [] }, older)).toEqual({ outcome: 'stale_epoch' });
        expect(await machines(subject)).toHaveLength(1);
      });

    if (can.includes('epochs'))
      test('a leader of another cluster is not held up by this one', async () => {
        const { provider, pool } = await withMachines(1);
        const other = { ...pool, key: 'here/west/burst' };
        const earlier = { epoch: FENCE.epoch - 1 };
        expect(await provider.ensurePool(other, earlier)).toEqual(ACCEPTED);
        expect(await provider.scalePool(other.key, { desired: 1, release: [] }, earlier)).toEqual(ACCEPTED);
        expect(await provider.deletePool(other.key, earlier)).toEqual(ACCEPTED);
      });

    if (can.includes('stock'))
      test('out of stock keeps what there is, and the wish said again finds what came back', async () => {
        const subject = await withMachines(2);
        const first = await machines(subject);
        await subject.stock?.(2);
        const result = await scale(subject, 3);
        // At once, or later as a wish without its machine.
        if (result.outcome !== 'accepted')
          expect(result).toMatchObject({ outcome: 'refused', reason: 'STOCK_OUT', retryAfterMs: expect.any(Number) as number });
        expect(await machines(subject)).toEqual(first);
        await subject.stock?.(4);
        expect(await scale(subject, 3)).toEqual(ACCEPTED);
        expect(await machines(subject)).toHaveLength(3);
      });

    if (can.includes('quota'))
      test('a quota refuses one more and keeps what there is', async () => {
        const subject = await withMachines(2);
        const first = await machines(subject);
        await subject.quota?.(2);
        expect(await scale(subject, 3)).toMatchObject({ outcome: 'refused', reason: 'QUOTA' });
        const state = await settled(subject);
        expect(idsOf(state).sort()).toEqual(first);
        expect(state.desired).toBe(2);
      });

    if (can.includes('lose'))
      describe('of a call that gets no answer', () => {
        const insist = async <T>(subject: MachinesSubject, what: 'request' | 'answer', call: () => Promise<T>): Promise<T> => {
          await subject.lose?.(what);
          await expect(call()).rejects.toThrow(CloudUnknown);
          return call();
        };

        test.each(['request', 'answer'] as const)('whose %s was lost, the same call again makes it true once', async (what) => {
          const subject = await fresh();
          const { provider, pool } = subject;
          expect(await insist(subject, what, () => provider.ensurePool(pool, FENCE))).toEqual(ACCEPTED);
          expect(await insist(subject, what, () => scale(subject, 3))).toEqual(ACCEPTED);
          const [first = '', ...rest] = await machines(subject);
          expect(rest).toHaveLength(2);
          expect(await insist(subject, what, () => scale(subject, 2, [first]))).toEqual(ACCEPTED);
          expect(await machines(subject)).toEqual(rest);
          expect(await insist(subject, what, () => provider.deletePool(pool.key, FENCE))).toEqual(ACCEPTED);
          await subject.pass();
          expect(await provider.observeNodes(pool.key)).toBeNull();
        });
      });

    if (can.includes('trouble'))
      test.each(TROUBLES)('a provider that is %s is unknown, in every verb', async (how) => {
        const subject = await withMachines(2);
        const { provider, pool } = subject;
        const first = await machines(subject);
        await subject.trouble?.(how);
        await expect(provider.observeNodes(pool.key)).rejects.toThrow(CloudUnknown);
        await expect(provider.interruptions()).rejects.toThrow(CloudUnknown);
        await expect(provider.ensurePool(pool, FENCE)).rejects.toThrow(CloudUnknown);
        await expect(scale(subject, 3)).rejects.toThrow(CloudUnknown);
        await subject.trouble?.(null);
        expect(await scale(subject, 3)).toEqual(ACCEPTED);
        const after = await machines(subject);
        expect(after).toHaveLength(3);
        expect(after).toEqual(expect.arrayContaining(first));
      });

    if (can.includes('interrupt'))
      test('a notice stays until its machine is gone, which nobody wishes for any more', async () => {
        const subject = await withMachines(2);
        const [first = '', second = ''] = await machines(subject);
        await subject.interrupt?.(first);
        for (let n = 0; n < 2; n += 1) expect(await subject.provider.interruptions()).toMatchObject([{ instanceId: first }]);
        const state = await settled(subject);
        expect(idsOf(state)).toEqual([second]);
        expect(state.desired).toBe(1);
        expect(await subject.provider.interruptions()).toEqual([]);
      });
  });
}
