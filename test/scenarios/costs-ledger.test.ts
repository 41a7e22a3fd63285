// Reports go through the metering service into real databases and a hand-moved clock closes the minutes; ledgers are compared as text.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COST_DIMENSIONS } from '../../src/costs/cost-breakdown.ts';
import { CostRepository } from '../../src/costs/cost.repository.ts';
import { makeCostMetrics } from '../../src/costs/costs.metrics.ts';
import { CostsReconciler } from '../../src/costs/costs.reconciler.ts';
import type { BreakdownInput } from '../../src/costs/costs.service.ts';
import { MeteringService } from '../../src/costs/metering.service.ts';
import { newId } from '../../src/kernel/id.ts';
import { costOfInterval } from '../../src/kernel/money.ts';
import { scopeOf } from '../../src/kernel/principal.ts';
import { acquireLease, type Lease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import type { UsageReport, UsageRow } from '../../src/traffic/router-contract/usage-report.ts';
import { principalOf, seededRandom } from '../support/actors.ts';
import { addPrice, addReplica, makeCostedWorld, makeCostsService, type CostedWorld } from '../support/costed-world.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const T0 = Date.parse('2026-10-31T23:55:00Z');
const MINUTE = 60_000;
const RATE = 96_000_000_007n;
const REPLICA = newId(T0, seededRandom(1));
const PRICE = newId(T0, seededRandom(2));
const NEWER = newId(T0, seededRandom(3));
const INCARNATION = newId(T0, seededRandom(4));
const CALLERS = [5, 6, 7].map((seed) => newId(T0, seededRandom(seed)));
const UNTIL = T0 + 10 * MINUTE + 12_345;

interface Bench {
  readonly db: TestDatabase;
  readonly world: CostedWorld;
  readonly metering: MeteringService;
  readonly clock: { at: number };
  run(): Promise<number>;
  prune(): Promise<void>;
}

const benches: Bench[] = [];

/** The same installation each time: one replica of ten minutes, of which the first is spent starting. */
async function makeBench(): Promise<Bench> {
  const db = await openTestDatabase();
  const clock = { at: T0, now: () => clock.at };
  const world = await db.database.write(SYSTEM, async (tx) => {
    const made = await makeCostedWorld(tx, 9, 'acme');
    await addPrice(tx, made, { id: PRICE, rate: RATE, from: 0, observedAt: 1 });
    await addReplica(tx, made, {
      id: REPLICA,
      from: T0 + 1_500,
      until: UNTIL,
      transitions: [
        [T0 + MINUTE, 'serving'],
        [UNTIL - 2_000, 'draining'],
      ],
    });
    return made;
  });
  const lease = await db.database.write(SYSTEM, (tx) => acquireLease(tx, 'costs', 'test'));
  const deps = {
    database: db.database,
    store: new CostRepository(),
    clock,
    logger: quietLogger,
    metrics: makeCostMetrics(makeMetricRegistry()),
  };
  const reconciler = new CostsReconciler({ ...deps, lease: (): Lease | null => lease });
  const run = async () => {
    const plan = reconciler.plan(await reconciler.prepare(), clock.at);
    await reconciler.execute(plan, new AbortController().signal);
    return plan.length;
  };
  const bench = { db, world, metering: new MeteringService(deps), clock, run, prune: () => reconciler.prune() };
  benches.push(bench);
  return bench;
}

const row = (minute: number, caller: number, busyUs: number): UsageRow => ({
  replicaId: REPLICA,
  minute,
  callerTeamId: CALLERS[caller]!,
  caller: CALLERS[caller]!,
  kind: 'inference',
  experiment: '',
  busyUs,
  attempts: 1,
  requests: 1,
  errors: 0,
  bytesIn: 10,
  bytesOut: 20,
  inputTokens: 3,
  outputTokens: 4,
  stampedPicoUsd: '5',
});

const report = (sequence: number, rows: readonly UsageRow[], through: number): UsageReport => ({
  source: `edge/${INCARNATION}`,
  sequence,
  through,
  tableVersion: { epoch: 'e', n: 1 },
  rows,
});

const random = seededRandom(42);
const REPORTS = Array.from({ length: 60 }, (_, i) =>
  report(
    i + 1,
    [0, 1, 2].map((caller) => row(T0 + Math.floor(i / 6) * MINUTE, caller, Math.floor(random.fraction() * 9_000_000))),
    T0 + Math.floor((i + 1) / 6) * MINUTE,
  ),
);

const ledger = ({ db }: Bench): Promise<unknown[]> =>
  db.database.read(SYSTEM, (tx) =>
    sqlOf(tx)
      .query(`select minute, price_id, state, group_key, sum(ms)::text ms, sum(list)::text list, sum(contracted)::text contracted,
      sum(effective)::text effective from ledger_line group by 1, 2, 3, 4
      having sum(ms) <> 0 or sum(list) <> 0 or sum(effective) <> 0 order by 1, 2, 3, group_key collate "C"`),
  );

const totals = async ({ db }: Bench) => {
  const [sum] = await db.database.read(SYSTEM, (tx) =>
    sqlOf(tx).query<
      Record<string, string>
    >(`select (select sum(effective)::text from ledger_line) lines, (select sum(effective)::text from ledger_hour) hours,
      (select sum(requests)::text from usage_minute) minutes, (select sum(requests)::text from usage_hour) usage,
      (select count(*)::text from ledger_line) count, (select min(x.s)::text from (select sum(effective) s from ledger_line group by minute, price_id, state, group_key) x) least`),
  );
  return sum!;
};

let calm: Bench;

beforeAll(async () => {
  calm = await makeBench();
  calm.clock.at = UNTIL + 30 * MINUTE;
  for (const one of REPORTS)
    expect(await calm.metering.accept(one, { name: 'edge' })).toEqual({ accepted: true, repeated: false, refusedRows: 0 });
  await calm.run();
});
afterAll(async () => {
  for (const { db } of benches) await db.close();
});

describe('Metering and ledger: lines sum to what replicas cost', () => {
  test('the lines, and the hours, sum to the cost of the slot', async () => {
    const cost = costOfInterval(RATE, T0 + 1_500, UNTIL).toString();
    expect(await totals(calm)).toMatchObject({ lines: cost, hours: cost, minutes: '180', usage: '180' });
  });

  test('a steady state has nothing to do', async () => {
    expect(await calm.run()).toBe(0);
  });

  test('lines lie in partitions of their months, behind the same wall as their table', async () => {
    const found = await calm.db.database.read(SYSTEM, (tx) =>
      sqlOf(tx).query<{
        name: string;
        forced: boolean;
        policies: number;
      }>(`select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as forced,
        (select count(*)::integer from pg_policy where polrelid = c.oid) as policies from pg_class c join pg_inherits i on i.inhrelid = c.oid
        where i.inhparent = 'ledger_line'::regclass order by 1`),
    );
    expect(found).toEqual(
      ['2026_10', '2026_11', '2026_12', 'default'].map((name) => ({ name: `ledger_line_${name}`, forced: true, policies: 3 })),
    );
    await expect(
      calm.db.database.write(SYSTEM, (tx) => sqlOf(tx).execute(`update ledger_line_2026_10 set ms = 0`)),
    ).rejects.toThrow('append-only');
  });

  test('SQL splits every closed minute to the same digit as the code', async () => {
    const differing = await calm.db.database.read(SYSTEM, (tx) => sqlOf(tx).query(SPLIT_IN_SQL, [REPLICA]));
    expect(differing).toEqual([]);
  });
});

describe('Fault: usage delivered 30 % twice and shuffled', () => {
  test('gives the same ledger to the last digit, also while minutes close in between', async () => {
    const rough = await makeBench();
    const sent = [...REPORTS, ...REPORTS.filter((_, i) => i % 10 < 3)]
      .map((one) => ({ one, at: random.fraction() }))
      .sort((a, b) => a.at - b.at);
    for (const [i, { one }] of sent.entries()) {
      rough.clock.at = T0 + i * 20_000;
      await rough.metering.accept(one, { name: 'edge' });
      if (i % 7 === 0) await rough.run();
    }
    rough.clock.at = UNTIL + 30 * MINUTE;
    await rough.run();
    expect(await ledger(rough)).toEqual(await ledger(calm));
    const sum = await totals(rough);
    expect(sum).toMatchObject({
      lines: (await totals(calm)).lines,
      hours: (await totals(calm)).lines,
      minutes: '180',
      usage: '180',
    });
    expect(Number(sum.count)).toBeGreaterThan(Number((await totals(calm)).count));
    expect(BigInt(sum.least!)).toBeGreaterThanOrEqual(0n);
    expect(await rough.run()).toBe(0);
  });

  test('sent by many connections at once, each report is counted once', async () => {
    const crowded = await makeBench();
    crowded.clock.at = UNTIL + 30 * MINUTE;
    const answers = await Promise.all([...REPORTS, ...REPORTS].map((one) => crowded.metering.accept(one, { name: 'edge' })));
    expect(answers.filter(({ repeated }) => repeated)).toHaveLength(REPORTS.length);
    await crowded.run();
    expect(await ledger(crowded)).toEqual(await ledger(calm));
  });
});

describe('Metering and ledger: restatement', () => {
  test('a corrected price restates its own minutes and no others, and the old sum stays readable', async () => {
    const bench = await makeBench();
    bench.clock.at = UNTIL + 30 * MINUTE;
    for (const one of REPORTS) await bench.metering.accept(one, { name: 'edge' });
    await bench.run();
    const before = await ledger(bench);
    const since = T0 + 5 * MINUTE;
    await bench.db.database.write(SYSTEM, (tx) =>
      addPrice(tx, bench.world, { id: NEWER, rate: RATE * 3n, from: since, observedAt: bench.clock.at }),
    );
    bench.clock.at += MINUTE;
    for (let i = 0; i < 3; i += 1) await bench.run();
    expect(await bench.run()).toBe(0);
    const cost = costOfInterval(RATE, T0 + 1_500, since) + costOfInterval(RATE * 3n, since, UNTIL);
    expect(await totals(bench)).toMatchObject({ lines: cost.toString(), hours: cost.toString() });
    const early = (rows: unknown[]) => rows.filter((line) => (line as { minute: number }).minute < since);
    expect(early(await ledger(bench))).toEqual(early(before));
    const [old] = await bench.db.database.read(SYSTEM, (tx) =>
      sqlOf(tx).query<{ sum: string }>(`select sum(effective)::text as sum from ledger_line where written_at < $1`, [
        bench.clock.at,
      ]),
    );
    expect(old?.sum).toBe((await totals(calm)).lines);
  });

  test('an unknown replica and a minute far ahead are refused and counted, a month-late row restates, a year-late one is a quantity without a cost', async () => {
    const bench = await makeBench();
    bench.clock.at = UNTIL + 30 * 86_400_000;
    const unknown = { ...row(T0, 0, 1), replicaId: newId(T0, seededRandom(99)) };
    const ahead = row(bench.clock.at - (bench.clock.at % MINUTE) + 2 * 86_400_000, 0, 1);
    await bench.run();
    expect(await bench.metering.accept(report(1, [unknown, ahead, row(T0 + MINUTE, 0, 1_000_000)], 0), { name: 'edge' })).toEqual(
      {
        accepted: true,
        repeated: false,
        refusedRows: 2,
      },
    );
    await bench.run();
    const cost = costOfInterval(RATE, T0 + 1_500, UNTIL).toString();
    expect(await totals(bench)).toMatchObject({ lines: cost, minutes: '1' });
    expect(await ledger(bench)).toContainEqual(
      expect.objectContaining({ minute: T0 + MINUTE, group_key: `${CALLERS[0]}/${CALLERS[0]}/inference/` }),
    );
    bench.clock.at = UNTIL + 365 * 86_400_000;
    await bench.metering.accept(report(2, [row(T0, 0, 1)], 0), { name: 'edge' });
    expect(await totals(bench)).toMatchObject({ lines: cost, minutes: '1', usage: '2' });
    expect(await bench.metering.accept(report(3, [], 0), { name: 'other' })).toMatchObject({ accepted: false });
  });
});

describe('Metering and ledger: inputs are kept for 62 days', () => {
  test('usage until then is given its cost, after that it is a quantity, and what is forgotten changes no figure', async () => {
    const bench = await makeBench();
    bench.clock.at = UNTIL + 30 * MINUTE;
    for (const one of REPORTS) await bench.metering.accept(one, { name: 'edge' });
    await bench.run();
    const late = T0 + 2 * MINUTE;
    const deliver = async (sequence: number, at: number) => {
      bench.clock.at = at;
      await bench.metering.accept(report(sequence, [row(late, 0, 1_000_000)], at), { name: 'edge' });
      await bench.run();
      return ledger(bench);
    };
    const before = await ledger(bench);
    const after = await deliver(61, late + 62 * 86_400_000);
    expect(after).not.toEqual(before);
    expect(await deliver(62, late + 62 * 86_400_000 + 1)).toEqual(after);
    expect(await totals(bench)).toMatchObject({ lines: (await totals(calm)).lines, minutes: '181', usage: '182' });
    bench.clock.at = UNTIL + 64 * 86_400_000;
    await bench.prune();
    expect(await totals(bench)).toMatchObject({ minutes: null, usage: '182' });
    expect(await bench.run()).toBe(0);
    expect(await ledger(bench)).toEqual(after);
  });
});

describe('Costs in any grouping', () => {
  const ask = (bench: Bench, input: Partial<BreakdownInput>, principal = principalOf('platform_admin', null)) => {
    const asked = { from: T0, to: UNTIL, groupBy: [], now: bench.clock.at, ...input };
    const service = makeCostsService(bench.db.database);
    return bench.db.database.read(scopeOf(principal), (tx) => service.breakdown(tx, principal, asked));
  };
  const sumOf = ({ rows }: { rows: readonly { cost: bigint }[] }) => rows.reduce((all, one) => all + one.cost, 0n);

  test('every grouping and step of every range sums to the same total, with open minutes too', async () => {
    const open = await makeBench();
    open.clock.at = T0 + 7 * MINUTE + 30_000;
    for (const one of REPORTS) await open.metering.accept(one, { name: 'edge' });
    await open.run();
    const ranges = [
      [T0, UNTIL],
      [T0 - 3_600_000, UNTIL + 7_200_000],
      [T0 + 90_500, T0 + 400_100],
    ] as const;
    const groupings = COST_DIMENSIONS.flatMap((dimension) =>
      ([null, 'HOUR', 'DAY', 'MONTH'] as const).map((step) => ({ dimension, step })),
    );
    for (const { bench, from, to } of [calm, open].flatMap((bench) => ranges.map(([from, to]) => ({ bench, from, to })))) {
      const whole = await ask(bench, { from, to });
      expect(sumOf(whole)).toBe(whole.total.cost);
      for (const { dimension, step } of groupings) {
        const rows = await ask(bench, { from, to, groupBy: [dimension, 'STATE'], step });
        expect([dimension, step, sumOf(rows)]).toEqual([dimension, step, whole.total.cost]);
        expect(rows.total.requests).toBe(whole.total.requests);
      }
    }
    const estimate = await ask(open, {});
    expect(estimate).toMatchObject({ isEstimate: true, effectiveRange: { from: T0, to: T0 + 11 * MINUTE } });
    expect(estimate.reconciledUntil).toBeGreaterThan(T0);
    expect(estimate.total.cost).toBe(costOfInterval(RATE, T0 + 1_500, open.clock.at));
    expect(await ask(calm, {})).toMatchObject({
      isEstimate: false,
      total: { cost: costOfInterval(RATE, T0 + 1_500, UNTIL), requests: 180 },
    });
  });

  test('rows carry names, parts and periods', async () => {
    const { rows } = await ask(calm, { groupBy: ['DEPLOYMENT', 'VERSION'], step: 'HOUR' });
    expect(rows.map(({ labels, period }) => [labels.map(({ value }) => value), period])).toEqual([
      [['acme/acme/acme', 'acme/acme/acme@1'], Date.parse('2026-10-31T23:00:00Z')],
      [['acme/acme/acme', 'acme/acme/acme@1'], Date.parse('2026-11-01T00:00:00Z')],
    ]);
    for (const row of rows) expect(row.busy + row.idle + row.starting + row.draining + row.unready).toBe(row.cost);
    expect(rows[0]!.starting).toBe(costOfInterval(RATE, T0 + 1_500, T0 + MINUTE));
    expect(rows[1]!.draining).toBe(costOfInterval(RATE, UNTIL - 2_000, UNTIL));
  });

  test('a filter, a foreign team and an invoker narrow what is summed; a viewer of the project sees it all', async () => {
    const total = (await ask(calm, {})).total.cost;
    const one = await ask(calm, { filter: { CALLER: CALLERS.slice(1, 2) } });
    expect(one.total).toMatchObject({ requests: 60, idle: 0n });
    expect(one.total.cost > 0n && one.total.cost < total).toBe(true);
    const { teamId, projectId } = calm.world;
    expect((await ask(calm, {}, principalOf('viewer', teamId, projectId))).total.cost).toBe(total);
    expect((await ask(calm, {}, principalOf('viewer', teamId, CALLERS[0]))).total).toMatchObject({ cost: 0n, requests: 0 });
    expect((await ask(calm, {}, principalOf('viewer', CALLERS.at(0) ?? null))).total).toMatchObject({ cost: 0n, requests: 0 });
    expect((await ask(calm, {}, principalOf('invoker', teamId))).total).toMatchObject({ cost: 0n, requests: 0 });
  });

  test('as of an instant the ledger tells what it told then', async () => {
    const written = calm.clock.at;
    expect((await ask(calm, { asOf: written })).total.cost).toBe(0n);
    expect((await ask(calm, { asOf: written + 1 })).total.cost).toBe((await ask(calm, {})).total.cost);
  });

  test('time without a price is told in milliseconds and in no amount', async () => {
    const bench = await makeBench();
    await bench.db.database.write(SYSTEM, async (tx) => {
      const bare = await makeCostedWorld(tx, 77, 'bare');
      await addReplica(tx, bare, {
        id: newId(T0, seededRandom(78)),
        from: T0,
        until: T0 + 61_000,
        transitions: [[T0, 'serving']],
      });
    });
    const unpriced = { groupBy: ['OWNER_TEAM'] as const };
    bench.clock.at = UNTIL + 30 * MINUTE;
    const open = await ask(bench, unpriced);
    await bench.run();
    for (const { rows } of [open, await ask(bench, unpriced)]) {
      expect(rows.find(({ labels }) => labels[0]!.value === 'bare')).toMatchObject({ cost: 0n, unpricedMs: 61_000 });
    }
  });
});

/** The split once more, in SQL alone: floors with div(), remainders, ties by the bytes of the four columns. Rows that differ. */
const SPLIT_IN_SQL = `
  with k as (select minute, price_id, sum(effective) as c, sum(ms) as s from ledger_line where resource_id = $1 and state = 'serving' group by 1, 2),
  b as (select minute, caller_team_id::text t, caller::text c, kind k, experiment e, busy_us::numeric w from usage_minute where replica_id = $1
    union all select k.minute, '', '', '', '', greatest(0, 1000 * 2 * k.s - coalesce((select sum(busy_us) from usage_minute u where u.replica_id = $1 and u.minute = k.minute), 0)) from k),
  p as (select k.minute, k.price_id, k.c as total, b.t, b.c, b.k, b.e, b.w, sum(b.w) over (partition by k.minute) as whole from k join b using (minute) where b.w > 0),
  f as (select p.*, div(total * w, whole) as floor, mod(total * w, whole) as rest from p),
  n as (select f.*, row_number() over (partition by minute order by rest desc, t collate "C", c collate "C", k collate "C", e collate "C") as place,
    total - sum(floor) over (partition by minute) as left_over from f),
  mine as (select minute, case when t = '' then '' else t || '/' || c || '/' || k || '/' || e end as group_key,
    floor + case when place <= left_over then 1 else 0 end as share from n),
  code as (select minute, group_key, sum(effective) as share from ledger_line where resource_id = $1 and state = 'serving' group by 1, 2)
  select * from mine full join code using (minute, group_key) where coalesce(mine.share, 0) <> coalesce(code.share, 0)`;
