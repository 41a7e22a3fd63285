// The loop of nodes on a real database and the simulated cloud, behind an API that is ill: late, doubled, silent; and a control plane that dies at
// every step. Who was ever rented is read from the cloud's bill.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CloudInterruption, MachineProvider } from '../../src/clouds/cloud-provider.port.ts';
import { shortageAt, type PricedMarket } from '../../src/clouds/simulated/simulated-market.ts';
import type { NodeActions } from '../../src/fleet/cluster-inventory.port.ts';
import type { Pool } from '../../src/fleet/cluster.ts';
import { VELOCITY_LIMITS } from '../../src/fleet/velocity-breaker.ts';
import { HOUR_MS, MINUTE_MS } from '../../src/kernel/instant.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { Crash, Crasher, type CrashPoint } from '../support/crashing.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { FaultyProvider } from '../support/faulty-provider.ts';
import { makeNodesWorld, SYSTEM, type NodesTestWorld } from '../support/nodes-world.ts';
import { NOW, small, uid } from '../support/nodes.ts';
import type { SimulatedNodes } from '../support/simulated-nodes.ts';

const WORKLOAD = uid(500);
/** All worlds are of one installation, and of one hour. */
const velocity = { ...VELOCITY_LIMITS, nodes: 100_000 };

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const keyOf = (cluster: string, pool: Pool): string => `here/${cluster}/${pool.name}`;

/** One pool of machines that take one pod each. */
async function opened(cluster: string, priced?: PricedMarket) {
  const world = await makeNodesWorld(db, { cluster, pools: ['burst'], ...(priced ? { priced } : {}) });
  const [pool] = world.pools;
  if (!pool) throw new Error('it has a pool');
  const provider = new FaultyProvider(world.market, world.clock);
  const fresh = () => world.restart({ providers: new Map([[provider.name, provider]]), velocity });
  fresh();
  await world.scale(pool, { maxNodes: 12, config: { idleSeconds: '60', ...(priced ? { region: 'north' } : {}) } });
  const want = (pods: number) => world.nodes.want(WORKLOAD, 'burst', pods, small);
  return { ...world, pool, provider, fresh, want, ...sightOf(world, keyOf(cluster, pool)) };
}

function sightOf({ market, clock }: Pick<NodesTestWorld, 'market' | 'clock'>, key: string) {
  const there = async (): Promise<string[]> =>
    ((await market.observeNodes(key))?.nodes ?? [])
      .filter(({ phase }) => phase === 'running' || phase === 'starting')
      .map(({ instanceId }) => instanceId);
  /** Everything that was ever rented. */
  const everRented = async (): Promise<string[]> => {
    const { lines } = await market.fetchBill(NOW - HOUR_MS, clock.now() + HOUR_MS);
    return [...new Set(lines.flatMap(({ resourceId }) => resourceId ?? []))].sort();
  };
  return { there, everRented };
}

describe('Faults of providers: a provider that says 429 or 500, or nothing', () => {
  test.each(['429 Too Many Requests', '500 Internal Server Error', 'no answer in time'])(
    'one that says %s gives nothing back and rents nothing; well again, exactly what is needed is there',
    async (words) => {
      const one = await opened(`silent-${words.slice(0, 2).trim()}`);
      one.want(2);
      await one.pass(5);
      const before = await one.there();
      expect(before).toHaveLength(2);
      one.provider.trouble = words;
      one.want(4);
      await one.pass(10);
      expect(await one.there()).toEqual(before);
      expect(await one.conditionOf(one.pool)).toMatchObject({ status: 'False', reason: 'PROVIDER_UNKNOWN' });
      one.want(0);
      await one.pass(30);
      expect(await one.there()).toEqual(before);
      one.want(3);
      one.provider.trouble = null;
      await one.pass(20);
      expect(await one.there()).toHaveLength(3);
      expect(one.nodes.running()).toBe(3);
      expect(await one.everRented()).toHaveLength(3);
    },
  );

  test('a pool whose region or cluster left the settings stays with all that it has, says why, and goes once it is back', async () => {
    const one = await opened('out-of-reach');
    one.want(2);
    await one.pass(5);
    const before = await one.there();
    expect(before).toHaveLength(2);
    one.provider.outside = 'pools may be in north; not in "south"';
    one.want(0);
    await db.database.write(SYSTEM, (tx) => sqlOf(tx).execute(`update pool set removed_at = 1 where id = $1`, [one.pool.id]));
    one.provider.calls.splice(0);
    await one.pass(60);
    expect(one.provider.calls.filter((call) => call !== 'interruptions')).toEqual([]);
    expect(await one.there()).toEqual(before);
    expect(await one.conditionOf(one.pool)).toMatchObject({
      ...{ status: 'False', reason: 'OUT_OF_REACH', message: expect.stringContaining('not in "south"') as string },
    });
    one.provider.outside = null;
    one.restart({ providers: new Map(), velocity });
    await one.pass(3);
    expect((await one.conditionOf(one.pool))?.message).toContain('names no simulated');
    expect(await one.there()).toEqual(before);
    one.fresh();
    await one.pass(60);
    expect(await one.there()).toEqual([]);
    expect(await one.rows(`select 1 from pool_scaling where pool_id = $1`, [one.pool.id])).toEqual([]);
  });

  test('a pool that had machines before installations had ids is known by its old name until it is given back', async () => {
    const one = await opened('older');
    one.want(1);
    await one.pass(5);
    const [first = ''] = await one.there();
    await db.database.write(SYSTEM, (tx) =>
      sqlOf(tx).execute(`update pool_scaling set key_prefix = 'here' where pool_id = $1`, [one.pool.id]),
    );
    one.restart({ providers: new Map([[one.provider.name, one.provider]]), velocity, installation: '0123456789' });
    one.want(2);
    await one.pass(10);
    expect(await one.there()).toContain(first);
    expect(await one.there()).toHaveLength(2);
    expect(await one.everRented()).toHaveLength(2);
    await one.scale(one.pool, { maxNodes: 9, config: { idleSeconds: '60' } });
    await one.pass(5);
    expect(await one.everRented()).toHaveLength(2);
  });

  test('one that hangs when it is asked for a pool is still heard when it takes a machine away', async () => {
    const one = await opened('hangs');
    one.want(2);
    await one.pass(5);
    const [first = ''] = await one.there();
    one.restart({ providers: new Map([[one.provider.name, one.provider]]), velocity, answerMs: 10 });
    one.provider.hangs = true;
    one.market.interrupt(first, 10 * MINUTE_MS);
    one.nodes.done.splice(0);
    await one.pass(2);
    expect(one.nodes.done).toContain(`announce ${first}`);
    expect(await one.there()).toHaveLength(2);
  });

  test('what it was asked before nobody came for an answer for long is asked anew', async () => {
    const one = await opened('forgets');
    one.want(2);
    await one.pass(5);
    one.restart({ providers: new Map([[one.provider.name, one.provider]]), velocity, answerMs: 10 });
    one.provider.hangs = true;
    await one.pass(1);
    one.provider.hangs = false;
    one.provider.calls.splice(0);
    await one.pass(1);
    expect(one.provider.calls).not.toContain(`observeNodes ${keyOf('forgets', one.pool)}`);
    await one.pass(1, 10 * MINUTE_MS);
    expect(one.provider.calls).toContain(`observeNodes ${keyOf('forgets', one.pool)}`);
  });

  test.each([
    ['late', 3 * MINUTE_MS, 1],
    ['twice', 0, 2],
    ['late and twice', 10 * MINUTE_MS, 2],
  ])(
    'one that reports a created pool late or twice (here: %s) is asked for nothing twice, and keeps no machine',
    async (words, lateMs, shows) => {
      const one = await opened(`shows-${words.replaceAll(' ', '-')}`);
      Object.assign(one.provider, { lateMs, shows });
      one.want(3);
      await one.pass(60);
      expect(one.nodes.running()).toBe(3);
      expect(await one.everRented()).toHaveLength(3);
      one.fresh();
      one.want(5);
      await one.pass(60);
      expect(await one.everRented()).toHaveLength(5);
      one.want(0);
      await one.pass(120);
      expect(await one.there()).toEqual([]);
      expect(await one.everRented()).toHaveLength(5);
    },
  );
});

describe('Faults of providers: nothing to be had', () => {
  const zones = ['a', 'b', 'c'];
  const scarce: PricedMarket = {
    ...{ seed: 3, swing: 0.5, priceStepMs: HOUR_MS, noticeMs: 120_000 },
    spotShortages: { everyMs: HOUR_MS, lastMs: 2 * HOUR_MS },
    onDemandShortages: { everyMs: HOUR_MS, lastMs: 0 },
    offerings: [
      {
        ...{ region: 'north', zones, instanceType: 'none-anywhere', architecture: 'amd64', cpuMilli: 2_000, memoryMib: 4_096 },
        ...{ accelerator: null, onDemand: 100_000_000_000n, spot: 30_000_000_000n },
      },
    ],
  };
  const isShort = (zone: string, at: number) =>
    shortageAt(scarce, { region: 'north', zone, instanceType: 'none-anywhere', capacityType: 'spot' }, at) !== null;
  const isOut = (at: number) => zones.every((zone) => isShort(zone, at));
  const from = (start: number, is: (at: number) => boolean): number => {
    let at = start;
    while (!is(at)) at += MINUTE_MS;
    return at;
  };

  test('stock-out in every zone is told, asked about ever less often, and over as soon as one zone has some', async () => {
    const start = from(NOW, (at) => isOut(at) && isOut(at + 30 * MINUTE_MS));
    const end = from(start, (at) => !isOut(at));
    const one = await opened('none-anywhere', scarce);
    one.want(1);
    await one.pass(1, start - NOW);
    const passes = Math.floor((end - start) / 30_000) - 1;
    await one.pass(passes);
    expect(await one.there()).toEqual([]);
    expect(await one.conditionOf(one.pool)).toMatchObject({ status: 'False', reason: 'STOCK_OUT' });
    const asked = one.provider.calls.filter((call) => call.startsWith('scalePool')).length;
    expect(asked).toBeGreaterThan(1);
    // Each refusal doubles the wait: after a minute, two, four.
    expect(2 ** (asked - 2)).toBeLessThan(passes);
    await one.pass(130);
    expect(await one.everRented()).not.toEqual([]);
    expect(await one.there()).toHaveLength(1);
  });

  test('quota 0 keeps what runs, asks ever less often, and grows once there is some', async () => {
    const one = await opened('quota-none');
    one.market.change({ quota: 0 });
    one.want(3);
    await one.pass(60);
    expect(await one.everRented()).toEqual([]);
    expect(await one.conditionOf(one.pool)).toMatchObject({ status: 'False', reason: 'QUOTA' });
    expect(one.provider.calls.filter((call) => call.startsWith('scalePool')).length).toBeLessThan(8);
    one.market.change({ quota: 10 });
    await one.pass(130);
    expect(await one.there()).toHaveLength(3);
    expect(await one.everRented()).toHaveLength(3);
  });
});

describe('Faults of providers: a storm of notices', () => {
  test('1,000 interruption notices in a minute, doubled, unordered and for unknown nodes, are one announcement per node', async () => {
    const one = await opened('storm');
    one.want(6);
    await one.pass(6);
    const real = await one.there();
    expect(real).toHaveLength(6);
    const taken = real.slice(0, 3);
    const now = one.clock.now();
    const noticeOf = (instanceId: string, n: number): CloudInterruption => ({
      ...{ instanceId, nodeName: instanceId, noticedAt: now + ((n * 7_919) % 60_000), goneAt: now + 600_000 },
      message: `Taken away, says notice ${n}.`,
    });
    one.provider.notices = Array.from({ length: 1_000 }, (_, n) =>
      n % 4 === 0 ? noticeOf(taken[n % 3] ?? '', n) : noticeOf(`i-unknown-${n}`, n),
    );
    one.nodes.done.splice(0);
    await one.pass(2);
    const announced = () => one.nodes.done.filter((what) => what.startsWith('announce '));
    expect(announced().sort()).toEqual(taken.map((name) => `announce ${name}`).sort());
    // What ran there has room elsewhere before its node goes; nothing is rented for nodes that nobody has.
    await one.pass(12);
    expect(announced()).toHaveLength(3);
    expect(one.nodes.running()).toBe(6);
    expect(await one.everRented()).toHaveLength(9);
  });
});

const VERBS = [
  'ensurePool',
  'scalePool',
  'deletePool',
  'observeNodes',
  'interruptions',
] as const satisfies (keyof MachineProvider)[];
const ACTIONS = ['cordon', 'uncordon', 'announce', 'retire', 'release', 'forget'] as const satisfies (keyof NodeActions)[];

describe('Faults of providers: the control plane crashes at every step', () => {
  /** Lives until it dies at that point, or for that many passes; true if it died. */
  async function liveUntil(one: Awaited<ReturnType<typeof opened>>, point: CrashPoint, passes: number): Promise<boolean> {
    const crasher = new Crasher(point);
    const nodes = crasher.around<SimulatedNodes>(one.nodes, [...ACTIONS, 'observeNodes']);
    one.restart({
      ...{ database: crasher.database(db.database), inventory: nodes, actions: nodes, velocity },
      providers: new Map([[one.market.name, crasher.around(one.market, VERBS)]]),
    });
    try {
      await one.pass(passes);
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    }
    one.fresh();
    return crasher.fired;
  }

  /** Runs a story once for each call that it makes, and dies at that call; returns how many there were. */
  async function atEveryCall(when: CrashPoint['when'], story: (point: CrashPoint) => Promise<boolean>): Promise<number> {
    for (let call = 1; ; call += 1) if (!(await story({ call, when }))) return call - 1;
  }

  test.each(['before', 'after'] as const)(
    'growing a pool, dying %s each call: no node is leaked, and none is paid twice',
    async (when) => {
      const calls = await atEveryCall(when, async (point) => {
        const one = await opened(`grow-${when}-${point.call}`);
        one.want(3);
        const died = await liveUntil(one, point, 5);
        await one.pass(8);
        expect(one.nodes.running(), `call ${point.call}`).toBe(3);
        expect(await one.there(), `call ${point.call}`).toHaveLength(3);
        expect(await one.everRented(), `call ${point.call}`).toHaveLength(3);
        return died;
      });
      expect(calls).toBeGreaterThan(10);
    },
  );

  test.each(['before', 'after'] as const)(
    'shrinking a pool, dying %s each call: every machine is given back once',
    async (when) => {
      const calls = await atEveryCall(when, async (point) => {
        const one = await opened(`shrink-${when}-${point.call}`);
        one.want(3);
        await one.pass(6);
        expect(await one.there()).toHaveLength(3);
        one.want(1);
        const died = await liveUntil(one, point, 8);
        await one.pass(12);
        expect(one.nodes.running(), `call ${point.call}`).toBe(1);
        expect(await one.there(), `call ${point.call}`).toHaveLength(1);
        expect(await one.everRented(), `call ${point.call}`).toHaveLength(3);
        return died;
      });
      expect(calls).toBeGreaterThan(10);
    },
  );
});
