// Inventories and kubelet readings go through the metering service into a real database, a hand-moved clock closes the minutes; sums are compared.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COST_DIMENSIONS, COST_SPREADINGS, type CostSums, type OpenLine } from '../../src/costs/cost-breakdown.ts';
import type { BreakdownInput } from '../../src/costs/costs.service.ts';
import { groupKeyOf } from '../../src/costs/ledger-line.ts';
import { NodeCostRepository } from '../../src/costs/node-cost.repository.ts';
import { ReplicaRatesService } from '../../src/costs/replica-rates.service.ts';
import { spreadLines } from '../../src/costs/spread-costs.ts';
import { costOfInterval } from '../../src/kernel/money.ts';
import { scopeOf } from '../../src/kernel/principal.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { principalOf } from '../support/actors.ts';
import { makeCostsService } from '../support/costed-world.ts';
import { makeSharedWorld, MINUTE, NODES, PODS, RATES, SYSTEM, T0, type SharedWorld } from '../support/shared-nodes.ts';

const UNTIL = T0 + 20 * MINUTE;
const UNKNOWN = '00000000-0000-7000-8000-000000000009';
const worlds: SharedWorld[] = [];

/** What happens in which minute: a pod moves, a price becomes known late that changed within a minute, a node is lost. */
const EVENTS: Readonly<Record<number, (world: SharedWorld) => unknown>> = {
  4: (world) => world.move(PODS[2], NODES[1]),
  8: (world) => world.price(RATES[0] * 3n, T0 + 6 * MINUTE + 17_345),
  9: (world) => world.annotate(NODES[1], RATES[1] * 2n),
  12: (world) => world.lose(NODES[1]),
};

/** Twenty minutes with pods of two teams and of nobody; readings may come too late, and minutes may stay open from one on. */
async function story({ sampled = 20, closing = 20 }): Promise<SharedWorld> {
  const world = await makeSharedWorld();
  worlds.push(world);
  await world.observe();
  await world.sample();
  for (let n = 0; n < 20; n += 1) {
    world.clock.at = T0 + n * MINUTE + 40_000;
    await EVENTS[n]?.(world);
    await world.observe();
    if (n < sampled) await world.sample();
    await world.use(n);
    if (n < closing) await world.close();
  }
  if (closing < 20) return world;
  world.clock.at = UNTIL + 15 * MINUTE;
  await world.observe();
  await world.close();
  return world;
}

let calm: SharedWorld;

beforeAll(async () => {
  calm = await story({});
}, 60_000);
afterAll(async () => {
  for (const { db } of worlds) await db.close();
});

const ask = ({ db, clock }: SharedWorld, input: Partial<BreakdownInput>, principal = principalOf('platform_admin', null)) =>
  db.database.read(scopeOf(principal), (tx) =>
    makeCostsService(db.database).breakdown(tx, principal, { from: T0, to: UNTIL, groupBy: [], now: clock.at, ...input }),
  );

/** What the nodes cost, reckoned by hand from the story. */
function costOfNodes(until = UNTIL): bigint {
  const change = T0 + 6 * MINUTE + 17_345;
  const [annotated, lost] = [T0 + 9 * MINUTE + 40_000, T0 + 12 * MINUTE + 40_000];
  const between = (rate: bigint, from: number, to: number) => (from < to ? costOfInterval(rate, from, to) : 0n);
  return (
    between(RATES[0], T0, Math.min(until, change)) +
    between(RATES[0] * 3n, change, until) +
    between(RATES[1], T0, Math.min(until, annotated)) +
    between(RATES[1] * 2n, annotated, Math.min(until, lost))
  );
}

describe('Cost on Kubernetes: pods, idle and shared lines sum to what the nodes cost', () => {
  test('every closed minute of every node, and all of them together', async () => {
    expect((await ask(calm, {})).total.cost).toBe(costOfNodes());
    expect(await calm.violations()).toEqual([]);
    const { rows } = await ask(calm, { groupBy: ['NODE', 'KIND'] });
    expect(new Set(rows.map(({ labels }) => labels.map(({ value }) => value).join(' ')))).toEqual(
      new Set(['one node_idle', 'one replica', 'one shared', 'two node_idle', 'two replica', 'two shared']),
    );
    expect(rows.every(({ cost }) => cost > 0n)).toBe(true);
  });

  test('a steady state has nothing to do, and the same inventory and readings again write nothing', async () => {
    expect(await calm.close()).toBe(0);
    const before = await calm.facts();
    await calm.observe();
    await calm.repeatSample();
    expect(await calm.facts()).toEqual(before);
    expect(await calm.close()).toBe(0);
  });

  test('readings that come after a minute was closed restate it by a difference, to the same digits', async () => {
    const tardy = await story({ sampled: 5 });
    expect((await ask(tardy, {})).total.cost).toBe(costOfNodes());
    expect(await tardy.ledger()).not.toEqual(await calm.ledger());
    await tardy.deliver(calm.readings());
    for (let n = 0; n < 3; n += 1) await tardy.close();
    expect(await tardy.close()).toBe(0);
    expect(await tardy.ledger()).toEqual(await calm.ledger());
    expect((await ask(tardy, {})).total.cost).toBe(costOfNodes());
  }, 60_000);

  test('minutes that are open are computed by the same rule', async () => {
    const open = await makeSharedWorld();
    worlds.push(open);
    await open.observe();
    open.clock.at = T0 + 5 * MINUTE + 30_123;
    const estimate = await ask(open, {});
    expect(estimate).toMatchObject({ isEstimate: true, reconciledUntil: T0 });
    expect(estimate.total.cost).toBe(costOfInterval(RATES[0], T0, open.clock.at) + costOfInterval(RATES[1], T0, open.clock.at));
  });
});

const partsOf = ({ busy, idle, starting, draining, unready, nodeIdle, shared, unattributed }: CostSums): bigint =>
  busy + idle + starting + draining + unready + nodeIdle + shared + unattributed;

describe('Cost on Kubernetes: spreading what nobody has', () => {
  const sumOf = ({ rows }: { rows: readonly { cost: bigint }[] }) => rows.reduce((all, one) => all + one.cost, 0n);

  test('any grouping, step, range and spreading sums to the same total, closed or open', async () => {
    const open = await story({ closing: 11 });
    open.clock.at = UNTIL + 1;
    const ranges = [
      [T0 - 3_600_000, UNTIL + 7_200_000],
      [T0 + 90_500, T0 + 16 * MINUTE + 400],
    ] as const;
    const cases = [calm, open].flatMap((world) =>
      ranges.flatMap(([from, to]) =>
        COST_SPREADINGS.flatMap((spreading) => COST_DIMENSIONS.map((dimension) => ({ world, from, to, spreading, dimension }))),
      ),
    );
    const totals = new Map<string, CostSums>();
    for (const { world, from, to, spreading, dimension } of cases) {
      const name = `${worlds.indexOf(world)} ${from} ${to}`;
      const total = totals.get(name) ?? (await ask(world, { from, to })).total;
      totals.set(name, total);
      const step = dimension === 'STATE' ? 'HOUR' : null;
      const rows = await ask(world, { from, to, groupBy: [dimension, 'KIND'], step, spreading });
      expect([spreading, dimension, sumOf(rows)]).toEqual([spreading, dimension, total.cost]);
      expect(rows.total).toMatchObject({ requests: total.requests, unpricedMs: total.unpricedMs });
      for (const row of rows.rows) expect(partsOf(row)).toBe(row.cost);
    }
  }, 120_000);

  test('by node it goes to those who were on the node, by cluster to everybody, and lines stay what they are', async () => {
    const before = await calm.ledger();
    const range = { from: T0, to: T0 + 12 * MINUTE };
    const teams = async (spreading: BreakdownInput['spreading'] & string) =>
      new Map(
        (await ask(calm, { ...range, groupBy: ['OWNER_TEAM'], spreading })).rows.map(({ labels, cost }) => [
          labels[0]!.value,
          cost,
        ]),
      );
    const [none, byNode, byCluster] = [await teams('NONE'), await teams('BY_NODE'), await teams('BY_CLUSTER')];
    expect([...none.keys()].sort()).toEqual(['', 'acme', 'bolt']);
    for (const spread of [byNode, byCluster]) {
      expect([...spread.keys()].sort()).toEqual(['acme', 'bolt']);
      expect(spread.get('acme')).toBeGreaterThan(none.get('acme')!);
    }
    expect(byNode).not.toEqual(byCluster);
    expect(await calm.ledger()).toEqual(before);
  });

  test('SQL spreads every minute to the same digit as the code', async () => {
    const lines = (await calm.lines()).filter(({ minute }) => minute < UNTIL);
    for (const spreading of ['BY_NODE', 'BY_CLUSTER'] as const) {
      const expected = new Map<string, bigint>();
      const keyOf = (line: Pick<OpenLine, 'resourceId' | 'kind' | 'group'>) =>
        `${line.resourceId} ${line.group?.caller ?? ''} ${line.kind}`;
      for (const line of spreadLines(lines, spreading))
        expected.set(keyOf(line), (expected.get(keyOf(line)) ?? 0n) + line.effective);
      const found = new Map<string, bigint>();
      // A minute at a time: whole hours are spread by the hour.
      for (let from = T0; from < UNTIL; from += MINUTE) {
        const { rows } = await ask(calm, { from, to: from + MINUTE, groupBy: ['REPLICA', 'CALLER', 'KIND'], spreading });
        for (const { key, cost } of rows) found.set(key.join(' '), (found.get(key.join(' ')) ?? 0n) + cost);
      }
      const told = (sums: Map<string, bigint>) => [...sums].filter(([, cost]) => cost > 0n).sort(([a], [b]) => (a < b ? -1 : 1));
      expect(told(found)).toEqual(told(expected));
    }
    expect(lines.some(({ group }) => groupKeyOf(group) !== '')).toBe(true);
  });
});

describe('Cost on Kubernetes: who sees what', () => {
  test('a team sees its replicas and no line of the platform; a spread part of it is its own cost', async () => {
    const { teamId } = calm.teams.acme;
    const viewer = principalOf('viewer', teamId);
    const [own, all] = [await ask(calm, { groupBy: ['KIND'] }, viewer), await ask(calm, { groupBy: ['OWNER_TEAM', 'KIND'] })];
    expect(own.rows.map(({ labels }) => labels[0]!.value)).toEqual(['replica']);
    expect(own.total.cost).toBe(all.rows.find(({ key }) => key[0] === teamId)!.cost);
    const spread = await ask(calm, { spreading: 'BY_NODE' }, viewer);
    const everybody = await ask(calm, { spreading: 'BY_NODE', groupBy: ['OWNER_TEAM'] });
    expect(spread.total.cost).toBe(everybody.rows.find(({ key }) => key[0] === teamId)!.cost);
    expect(spread.total.cost).toBeGreaterThan(own.total.cost);
  });

  test('an open minute of a shared node costs a team the same, whoever asks', async () => {
    const open = await makeSharedWorld();
    worlds.push(open);
    await open.observe();
    open.clock.at = T0 + 3 * MINUTE + 123;
    const { teamId } = open.teams.acme;
    const own = await ask(open, {}, principalOf('viewer', teamId));
    const all = await ask(open, { groupBy: ['OWNER_TEAM'] });
    expect(own.total.cost).toBe(all.rows.find(({ key }) => key[0] === teamId)!.cost);
    expect(own.total.cost).toBeGreaterThan(0n);
  });

  test('the wall hides the lines of nodes, pods and their use from a team’s transactions', async () => {
    const counts = await calm.db.database.read({ kind: 'tenant', teamIds: [calm.teams.acme.teamId] }, (tx) =>
      sqlOf(tx).query(`select (select count(*)::int from ledger_line where kind <> 'replica') as lines,
        (select count(*)::int from ledger_hour where kind <> 'replica') as hours, (select count(*)::int from node_placement) as pods,
        (select count(*)::int from pod_use) as use, (select count(*) > 0 from ledger_line) as own`),
    );
    expect(counts).toEqual([{ lines: 0, hours: 0, pods: 0, use: 0, own: true }]);
  });
});

describe('Cost on Kubernetes: prices of nodes', () => {
  test('a price on the node is an observed price with a history', async () => {
    const rows = await calm.db.database.read(SYSTEM, (tx) =>
      sqlOf(tx)
        .query(`select p.effective::text as rate, p.effective_from as "from", p.source from price p join offering o on o.id = p.offering_id
        where o.provider = 'kubernetes' order by p.effective_from`),
    );
    expect(rows).toEqual([
      { rate: String(RATES[1]), from: T0, source: 'node-annotation@2026-11-02' },
      { rate: String(RATES[1] * 2n), from: T0 + 9 * MINUTE + 40_000, source: 'node-annotation@2026-11-02' },
    ]);
  });

  test('a node without a price is time without a price, and in no amount; a price that comes later counts from then on', async () => {
    const bare = await makeSharedWorld();
    worlds.push(bare);
    bare.unprice(NODES[0]);
    bare.unprice(NODES[1]);
    await bare.observe();
    bare.clock.at = T0 + 30 * MINUTE;
    await bare.close();
    const range = { from: T0, to: T0 + 10 * MINUTE };
    const told = await ask(bare, { ...range, groupBy: ['KIND'] });
    expect(told.total.cost).toBe(0n);
    expect(new Map(told.rows.map(({ labels, unpricedMs }) => [labels[0]!.value, unpricedMs]))).toEqual(
      new Map([
        ['node_idle', 2 * 10 * MINUTE],
        ['replica', 3 * 10 * MINUTE],
      ]),
    );
    bare.annotate(NODES[0], RATES[0]);
    await bare.observe();
    bare.clock.at += 15 * MINUTE;
    await bare.close();
    const since = T0 + 30 * MINUTE;
    expect((await ask(bare, { from: T0, to: since + 5 * MINUTE })).total.cost).toBe(
      costOfInterval(RATES[0], since, since + 5 * MINUTE),
    );
  });

  test('a node whose annotation is no price is unpriced from then on, whatever the price book says of its labels', async () => {
    const mispriced = await makeSharedWorld();
    worlds.push(mispriced);
    await mispriced.observe();
    mispriced.clock.at = T0 + 5 * MINUTE;
    for (const uid of NODES) mispriced.misprice(uid);
    await mispriced.observe();
    mispriced.clock.at = T0 + 30 * MINUTE;
    await mispriced.close();
    const known = { from: T0, to: T0 + 5 * MINUTE };
    const unknown = { from: T0 + 5 * MINUTE, to: T0 + 10 * MINUTE };
    expect((await ask(mispriced, known)).total).toMatchObject({
      cost: RATES.reduce((all, rate) => all + costOfInterval(rate, known.from, known.to), 0n),
      unpricedMs: 0,
    });
    const told = await ask(mispriced, { ...unknown, groupBy: ['KIND'] });
    expect(told.total.cost).toBe(0n);
    expect(new Map(told.rows.map(({ labels, unpricedMs }) => [labels[0]!.value, unpricedMs]))).toEqual(
      new Map([
        ['node_idle', 2 * 5 * MINUTE],
        ['replica', 3 * 5 * MINUTE],
      ]),
    );
  });

  test('a replica that was priced by its offering before its node was known is stated anew', async () => {
    const blind = await makeSharedWorld();
    worlds.push(blind);
    blind.clock.at = T0 + 20 * MINUTE;
    await blind.close();
    const before = await ask(blind, { groupBy: ['NODE'] });
    expect(before.rows.map(({ key }) => key[0])).toEqual(['']);
    expect(before.total).toMatchObject({ cost: before.total.estimated });
    await blind.observe();
    for (let n = 0; n < 3; n += 1) await blind.close();
    const range = { from: T0, to: T0 + 9 * MINUTE };
    const after = await ask(blind, { ...range, groupBy: ['NODE'] });
    expect(after.total.cost).toBe(costOfInterval(RATES[0], T0, range.to) + costOfInterval(RATES[1], T0, range.to));
    expect(after.total.estimated).toBe(0n);
    expect(new Set(after.rows.filter(({ cost }) => cost > 0n).map(({ labels }) => labels[0]!.value))).toEqual(
      new Set(['one', 'two']),
    );
  });
});

describe('Cost on Kubernetes: what answers are stamped with', () => {
  const rates = (world: SharedWorld) =>
    world.db.database.read(SYSTEM, (tx) =>
      new ReplicaRatesService(new NodeCostRepository()).ratesOf(tx, [...PODS, UNKNOWN], world.clock.at),
    );

  test('a replica’s present rate is its share of its node by what it asked for; on no known node it has none of its own', async () => {
    const world = await makeSharedWorld();
    worlds.push(world);
    expect(await rates(world)).toEqual(new Map());
    await world.observe();
    const told = await rates(world);
    expect([...told.keys()].sort()).toEqual([...PODS].sort());
    // It asked for a quarter of the CPU and an eighth of the memory of the first node, which nobody has asked for more than it has.
    const [cpu, memory] = [31_611n * 4n, 4_237n * 16n];
    const expected = (RATES[0] * cpu) / (cpu + memory) / 4n + (RATES[0] * memory) / (cpu + memory) / 8n;
    expect([-2n, -1n, 0n, 1n, 2n]).toContain(told.get(PODS[0])! - expected);
    world.unprice(NODES[0]);
    world.clock.at += MINUTE;
    await world.observe();
    expect((await rates(world)).get(PODS[0])).toBeNull();
  });

  test('by that rate ten minutes without use cost what the ledger says, to the rounding of its minutes', async () => {
    const world = await makeSharedWorld();
    worlds.push(world);
    await world.observe();
    world.clock.at = T0 + 10 * MINUTE;
    const told = await rates(world);
    const { rows } = await ask(world, { from: T0, to: T0 + 10 * MINUTE, groupBy: ['REPLICA'], filter: { KIND: ['replica'] } });
    for (const podId of PODS) {
      const differs = (rows.find(({ key }) => key[0] === podId)?.cost ?? 0n) - told.get(podId)! / 6n;
      expect(differs > -40n && differs < 40n).toBe(true);
    }
  });
});

describe('Cost on Kubernetes: its promises are checked while running', () => {
  test('sound minutes of nodes are read and nothing is told; a line that was changed and an hour that was, are', async () => {
    const world = await story({});
    await world.audit();
    expect(await world.violations()).toEqual([]);
    const one = `node_id = '${NODES[0]}' and kind = 'shared'`;
    await world.meddle(`update ledger_line set effective = effective + 1 where minute = ${T0 + 3 * MINUTE} and ${one}`);
    await world.meddle(
      `update ledger_hour set effective = effective + 3 where hour = ${T0} and node_id = '${NODES[1]}' and kind = 'node_idle'`,
    );
    await world.audit();
    const told = (await world.violations()).map(({ message }) => message);
    expect(told).toHaveLength(3);
    expect(told).toContainEqual(
      expect.stringMatching(/^Node one: The lines of the minute 2026-11-02T10:03:00.000Z sum to .* and should be /),
    );
    expect(told).toContainEqual(expect.stringMatching(/^Node one: The sums of the hour from 2026-11-02T10:00:00.000Z/));
    expect(told).toContainEqual(expect.stringMatching(/^Node two: The sums of the hour from/));
  }, 60_000);
});
