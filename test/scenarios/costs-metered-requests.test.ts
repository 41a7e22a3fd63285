// Real requests through real routers and a real link into metering and ledger; one clock is read by all and moved on by hand.
import { afterEach, describe, expect, test } from 'vitest';
import { MINUTE_MS } from '../../src/kernel/instant.ts';
import { costOfInterval, parseUsd } from '../../src/kernel/money.ts';
import type { UsageReport } from '../../src/traffic/router-contract/usage-report.ts';
import { seededRandom } from '../support/actors.ts';
import { eventually } from '../support/eventually.ts';
import { CALLERS, CONCURRENCY, MeteredWorld, RATE, T0 } from '../support/metered-world.ts';
import { startRouter, upstream } from '../support/routed.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A replica that answers `/held` only when told, and everything else at once. */
async function heldReplica() {
  const held: (() => void)[] = [];
  const { server, address } = await upstream((request, response) => {
    const answer = (): void => void response.end('{"ok":true}');
    if (request.url === '/held') held.push(answer);
    else answer();
  });
  closers.push(() => (server.closeAllConnections(), server.close()));
  /** Moves the clock while two requests are under way at the replica, then lets it answer them. */
  const holdTwo = async (meanwhile: () => void) => {
    await eventually(() => held.length === 2);
    meanwhile();
    for (const answer of held.splice(0)) answer();
  };
  return { address, holdTwo };
}

async function openWorld(address: string): Promise<MeteredWorld> {
  const world = await MeteredWorld.open(address);
  closers.push(() => world.dispose());
  return world;
}

interface RunningRouter {
  ask(caller: number, path?: string): Promise<bigint | null>;
  drain(): Promise<void>;
}

async function routerOf(world: MeteredWorld, name: string): Promise<RunningRouter> {
  const { router, url } = await startRouter(world.folderOf(name), world.port, { name, clock: world.clock });
  let drained: Promise<void> | null = null;
  const drain = () => (drained ??= router.drain());
  closers.push(drain);
  await eventually(async () => (await fetch(`${url}/-/readyz`)).status === 200);
  const ask = async (caller: number, path = 'now'): Promise<bigint | null> => {
    const headers = { authorization: `Bearer ${CALLERS[caller]!.token}` };
    const answer = await fetch(`${url}/acme/acme/acme/${path}`, { headers });
    expect(answer.status).toBe(200);
    await answer.text();
    return answer.headers.get('purser-cost-final') === 'true' ? parseUsd(answer.headers.get('purser-cost') ?? '') : null;
  };
  return { ask, drain };
}

/** Minutes of the ledger are closed as soon as all routers have acknowledged them; says how far. */
const closedUntil = async (world: MeteredWorld): Promise<number> => {
  await world.close();
  return Number((await world.sums()).closedUntil) - T0;
};

/** Two minutes of traffic that keeps within the replica's concurrency: short requests, and two that last over the turn of the minute. */
async function traffic(
  world: MeteredWorld,
  routers: readonly RunningRouter[],
  holdTwo: (meanwhile: () => void) => Promise<void>,
): Promise<{ requests: number; stamps: (bigint | null)[] }> {
  const stamps: (bigint | null)[] = [];
  const burst = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) stamps.push(await routers[i % routers.length]!.ask(i % CALLERS.length));
  };
  world.clock.advanceTo(4_000);
  await burst(30);
  for (const until of [40_000, MINUTE_MS + 17_000]) {
    const both = [0, 1].map((i) => routers[i % routers.length]!.ask(i, 'held'));
    await holdTwo(() => world.clock.advanceTo(until));
    stamps.push(...(await Promise.all(both)));
  }
  await burst(30);
  return { requests: stamps.length, stamps };
}

describe('Ledger against router: what answers were stamped with is what the ledger books', () => {
  test('final stamps and booked shares differ by at most one pico-dollar per request and replica-minute; lines sum to the cost', async () => {
    const { address, holdTwo } = await heldReplica();
    const world = await openWorld(address);
    const router = await routerOf(world, 'edge');
    const { requests, stamps } = await traffic(world, [router], holdTwo);
    world.clock.advanceTo(2 * MINUTE_MS + 500);
    await eventually(async () => (await closedUntil(world)) === 2 * MINUTE_MS);

    const sums = await world.sums();
    expect(sums.requests).toBe(BigInt(requests));
    expect(sums.lines).toBe(costOfInterval(RATE, T0, T0 + 2 * MINUTE_MS));
    expect(sums.busiestUs).toBeLessThanOrEqual(BigInt(1000 * CONCURRENCY * MINUTE_MS));
    const difference = sums.stamped - sums.share;
    expect(difference < 0n ? -difference : difference).toBeLessThanOrEqual(BigInt(requests + 2));
    // Most of a minute and a quarter was busy.
    expect(sums.share).toBeGreaterThan(RATE / 60n);
    // What callers read is what was reported, as far as the whole answer was there when its headers left.
    expect(stamps.every((stamp) => stamp !== null)).toBe(true);
    expect(stamps.reduce<bigint>((sum, stamp) => sum + (stamp ?? 0n), 0n)).toBe(sums.stamped);
  });

  test('a minute stays open until the router acknowledges its end, and closes long before it would be closed anyway', async () => {
    const { address } = await heldReplica();
    const world = await openWorld(address);
    const router = await routerOf(world, 'edge');
    await router.ask(0);
    await eventually(() => world.reports.length > 0);
    world.passage = 'refuse';
    world.clock.advanceTo(MINUTE_MS + 2_000);
    expect(await closedUntil(world)).toBeLessThan(MINUTE_MS);
    world.passage = 'book';
    await eventually(async () => (await closedUntil(world)) === MINUTE_MS);
    expect(world.clock.now() - T0).toBeLessThan(5 * MINUTE_MS);
    expect(Math.max(...world.reports.map(({ through }) => through))).toBe(T0 + MINUTE_MS);
    expect(await world.close()).toBe(0);
  });
});

describe('Ledger against router: a replica of which nothing new is seen', () => {
  test('has its minutes closed soon after its routers have acknowledged them', async () => {
    const { address } = await heldReplica();
    const world = await openWorld(address);
    const router = await routerOf(world, 'edge');
    await router.ask(0);
    world.clock.advanceTo(MINUTE_MS + 2_000);
    await eventually(() => world.reports.some(({ through }) => through === T0 + MINUTE_MS));
    await world.close({ seen: false });
    expect(Number((await world.sums()).closedUntil) - T0).toBeLessThan(MINUTE_MS);
    world.clock.advanceTo(MINUTE_MS + 16_000);
    await world.close({ seen: false });
    expect(Number((await world.sums()).closedUntil) - T0).toBe(MINUTE_MS);
    expect((await world.sums()).lines).toBe(costOfInterval(RATE, T0, T0 + MINUTE_MS));
  });
});

describe('Ledger against router: a router that has the table and says nothing', () => {
  test('keeps minutes open that others have acknowledged, for ten minutes and no longer; its late word is booked', async () => {
    const { address } = await heldReplica();
    const world = await openWorld(address);
    const router = await routerOf(world, 'edge');
    const leave = new AbortController();
    closers.push(() => leave.abort());
    const link = await fetch(`http://127.0.0.1:${world.port}/link/v1/table`, {
      headers: { authorization: 'Bearer silent' },
      signal: leave.signal,
    });
    expect(link.status).toBe(200);
    await eventually(async () => (await world.query(`select 1 from usage_source where router = 'silent'`)).length === 1);
    await router.ask(0);
    world.clock.advanceTo(MINUTE_MS + 2_000);
    await eventually(() => world.reports.some(({ through }) => through === T0 + MINUTE_MS));
    expect(await closedUntil(world)).toBeLessThan(MINUTE_MS);
    world.clock.advanceTo(9 * MINUTE_MS);
    expect(await closedUntil(world)).toBeLessThan(MINUTE_MS);
    world.clock.advanceTo(11 * MINUTE_MS + 1_000);
    expect(await closedUntil(world)).toBeGreaterThanOrEqual(MINUTE_MS);

    const before = await world.sums();
    const late = { ...world.reports.find(({ rows }) => rows.length > 0)!, source: `silent/${CALLERS[0]!.id}`, sequence: 1 };
    expect(await world.deliver(late)).toMatchObject({ accepted: true, repeated: false, refusedRows: 0 });
    await world.close();
    const after = await world.sums();
    expect(after.requests).toBeGreaterThan(before.requests);
    expect(after.share).toBeGreaterThan(before.share);
    expect(after.lines).toBe(costOfInterval(RATE, T0, T0 + Number(after.closedUntil - BigInt(T0))));
  });
});

describe('Ledger against router: two routers for one replica', () => {
  test('add their usage, and the minute waits for the slower one', async () => {
    const { address, holdTwo } = await heldReplica();
    const world = await openWorld(address);
    const routers = [await routerOf(world, 'edge'), await routerOf(world, 'core')];
    const { requests } = await traffic(world, routers, holdTwo);
    world.clock.advanceTo(2 * MINUTE_MS + 500);
    await routers[0]!.drain();
    await eventually(async () => (await closedUntil(world)) === 2 * MINUTE_MS);
    const sources = new Set(world.reports.map(({ source }) => source.split('/')[0]));
    expect([...sources].sort()).toEqual(['core', 'edge']);
    const sums = await world.sums();
    expect(sums.requests).toBe(BigInt(requests));
    expect(sums.lines).toBe(costOfInterval(RATE, T0, T0 + 2 * MINUTE_MS));
    const difference = sums.stamped - sums.share;
    expect(difference < 0n ? -difference : difference).toBeLessThanOrEqual(BigInt(requests + 2));
  });

  test('reports of both, delivered twice and shuffled over the link, give the same ledger to the last digit', async () => {
    const { address, holdTwo } = await heldReplica();
    const calm = await openWorld(address);
    const routers = [await routerOf(calm, 'edge'), await routerOf(calm, 'core')];
    await traffic(calm, routers, holdTwo);
    calm.clock.advanceTo(2 * MINUTE_MS + 500);
    await eventually(async () => (await closedUntil(calm)) === 2 * MINUTE_MS);
    for (const router of routers) await router.drain();

    const noisy = await MeteredWorld.open(address, calm.clock);
    closers.push(() => noisy.dispose());
    const sent = shuffledTwice(calm.reports);
    for (const [n, report] of sent.entries()) {
      expect(await noisy.deliver(report)).toMatchObject({ accepted: true, refusedRows: 0 });
      if (n % 5 === 0) await noisy.close();
    }
    await eventually(async () => (await closedUntil(noisy)) === 2 * MINUTE_MS);
    expect(await noisy.close()).toBe(0);
    expect(await noisy.ledger()).toEqual(await calm.ledger());
    expect((await noisy.sums()).requests).toBe((await calm.sums()).requests);
  });
});

/** Each report twice, in an order that has nothing to do with the one in which they were made. */
function shuffledTwice(reports: readonly UsageReport[]): UsageReport[] {
  const random = seededRandom(77);
  return [...reports, ...reports]
    .map((report) => ({ report, at: random.fraction() }))
    .sort((a, b) => a.at - b.at)
    .map(({ report }) => report);
}
