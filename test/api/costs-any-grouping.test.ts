// Two deployments with callers of three teams, part of it closed in the ledger and part still open, asked in any way over HTTP.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COST_DIMENSIONS, COST_STEPS } from '../../src/costs/cost-breakdown.ts';
import { CostRepository } from '../../src/costs/cost.repository.ts';
import { makeCostMetrics } from '../../src/costs/costs.metrics.ts';
import { CostsReconciler } from '../../src/costs/costs.reconciler.ts';
import { MeteringService } from '../../src/costs/metering.service.ts';
import { toGlobalId } from '../../src/graphql/global-id.ts';
import { newId } from '../../src/kernel/id.ts';
import { costOfInterval, parseUsd } from '../../src/kernel/money.ts';
import { systemClock } from '../../src/main/system-clock.ts';
import { acquireLease } from '../../src/persistence/lease.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { seededRandom } from '../support/actors.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { addPrice, addReplica, makeCostedWorld, type CostedWorld } from '../support/costed-world.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const RATE = 96_000_000_007n;
const NOW = Date.now();
const FROM = NOW - 3 * HOUR - 17_003;
const random = seededRandom(31);
const id = () => newId(FROM, random);
const CALLERS = [id(), id()];

let api: TestApi;
const worlds: CostedWorld[] = [];

beforeAll(async () => {
  api = await startApi();
  const replicas = [id(), id()];
  const { database } = api.db;
  const lease = await database.write(SYSTEM, async (tx) => {
    for (const [n, name] of ['acme', 'bolt'].entries()) {
      const world = await makeCostedWorld(tx, 60 + n, name);
      worlds.push(world);
      if (n === 0) await addPrice(tx, world, { id: id(), rate: RATE, from: 0, observedAt: 1 });
      const transitions = [
        [FROM + 50_000, 'serving'],
        [FROM + HOUR, 'unready'],
        [FROM + HOUR + 90_001, 'serving'],
      ] as const;
      await addReplica(tx, world, { id: replicas[n]!, from: FROM, transitions });
    }
    return acquireLease(tx, 'costs', 'test');
  });
  // The second team calls the first one's deployment.
  CALLERS.push(worlds[1]!.teamId);
  const metrics = makeCostMetrics(makeMetricRegistry());
  const deps = { database, store: new CostRepository(), clock: systemClock, logger: quietLogger, metrics, lease: () => lease };
  const counts = {
    attempts: 1,
    requests: 1,
    errors: 0,
    bytesIn: 1,
    bytesOut: 2,
    inputTokens: 3,
    outputTokens: 4,
    stampedPicoUsd: '0',
  };
  const rows = Array.from({ length: 300 }, (_, n) => ({
    replicaId: replicas[n % 2]!,
    minute: Math.floor((FROM + 2 * MINUTE + random.fraction() * 2.9 * HOUR) / MINUTE) * MINUTE,
    callerTeamId: CALLERS[n % 3]!,
    caller: CALLERS[(n * 7) % 3]!,
    kind: 'inference' as const,
    experiment: '',
    busyUs: Math.floor(random.fraction() * 20_000_000),
    ...counts,
  }));
  const source = `edge/${id()}`;
  await new MeteringService(deps).accept(
    { source, sequence: 1, through: 0, tableVersion: { epoch: 'e', n: 1 }, rows },
    { name: 'edge' },
  );
  const reconciler = new CostsReconciler(deps);
  await reconciler.execute(reconciler.plan(await reconciler.prepare(), NOW), new AbortController().signal);
});
afterAll(() => api.close());

interface Amount {
  readonly amount: string;
}
interface Row extends Record<
  'cost' | 'busy' | 'idle' | 'starting' | 'draining' | 'unready' | 'unattributed' | 'estimated',
  Amount
> {
  readonly key: readonly { readonly dimension: string }[];
  readonly period: string | null;
  readonly requests: number;
  readonly unpricedMs: number;
}
interface Costs {
  readonly total: Amount;
  readonly estimated: Amount;
  readonly unpricedMs: number;
  readonly isEstimate: boolean;
  readonly rows: readonly Row[];
}

const parts = ['busy', 'idle', 'starting', 'draining', 'unready', 'unattributed'] as const;
const QUERY = `query ($range: TimeRange!, $groupBy: [CostDimension!]!, $step: CostStep, $filter: CostFilter) {
  costs(range: $range, groupBy: $groupBy, step: $step, filter: $filter) { total { amount } estimated { amount } unpricedMs isEstimate
    rows { key { dimension value } period requests unpricedMs cost { amount } estimated { amount } ${parts.map((part) => `${part} { amount }`).join(' ')} } } }`;

async function ask(from: number, to: number, more: object = {}, token?: string): Promise<Costs> {
  const range = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  const answer = await api.gql<{ costs: Costs }>(QUERY, {
    variables: { range, groupBy: [], ...more },
    ...(token === undefined ? {} : { token }),
  });
  if (!answer.data) throw new Error(answer.text);
  return answer.data.costs;
}

const pico = ({ amount }: Amount): bigint => parseUsd(amount) ?? -1n;
const sumOf = (rows: readonly Row[], name: 'cost' | 'estimated'): bigint => rows.reduce((sum, row) => sum + pico(row[name]), 0n);
const count = (rows: readonly Row[], name: 'requests' | 'unpricedMs'): number => rows.reduce((sum, row) => sum + row[name], 0);

describe('API: costs in any grouping', () => {
  test('any grouping, step and filter of any closed or open range sums to the same total, part by part', async () => {
    // Up to the minute before this one, which grows while it is asked for.
    const minutes = Math.floor((NOW - FROM) / MINUTE) - 2;
    const question = fc.record({
      groupBy: fc.subarray([...COST_DIMENSIONS], { minLength: 1, maxLength: 4 }),
      step: fc.constantFrom(null, ...COST_STEPS),
      range: fc
        .tuple(fc.nat(minutes * MINUTE), fc.nat(minutes * MINUTE))
        .map(([a, b]) => [FROM + Math.min(a, b), FROM + Math.max(a, b)] as const),
      filter: fc.constantFrom({}, ...[0, 1].map((n) => ({ n }))),
    });
    await fc.assert(
      fc.asyncProperty(question, async ({ groupBy, step, range: [from, to], filter }) => {
        const filtered = 'n' in filter ? { deployment: toGlobalId('Deployment', worlds[filter.n]!.deploymentId) } : {};
        const whole = await ask(from, to, { filter: filtered });
        const { rows, total, estimated, unpricedMs } = await ask(from, to, { groupBy, step, filter: filtered });
        expect(total).toEqual(whole.total);
        expect(sumOf(rows, 'cost')).toBe(pico(total));
        expect([sumOf(rows, 'estimated'), pico(estimated)]).toEqual([pico(whole.estimated), pico(whole.estimated)]);
        expect([count(rows, 'unpricedMs'), unpricedMs]).toEqual([whole.unpricedMs, whole.unpricedMs]);
        expect(count(rows, 'requests')).toBe(count(whole.rows, 'requests'));
        for (const row of rows) {
          expect(row.key.map(({ dimension }) => dimension)).toEqual(groupBy);
          expect(parts.reduce((sum, part) => sum + pico(row[part]), 0n)).toBe(pico(row.cost));
        }
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  test('what two deployments cost is what both cost together, and a range is the sum of its parts', async () => {
    const until = NOW - HOUR;
    const each = await Promise.all(
      worlds.map(({ deploymentId }) => ask(FROM, until, { filter: { deployment: toGlobalId('Deployment', deploymentId) } })),
    );
    const whole = await ask(FROM, until);
    expect(each.reduce((sum, one) => sum + pico(one.total), 0n)).toBe(pico(whole.total));
    const middle = Math.floor((FROM + 77 * MINUTE) / MINUTE) * MINUTE;
    const halves = [await ask(FROM, middle), await ask(middle, until)];
    expect(halves.reduce((sum, one) => sum + pico(one.total), 0n)).toBe(pico(whole.total));
  });

  test('the owner sees who called at what cost; the team that called sees nothing of a foreign deployment', async () => {
    const until = NOW - HOUR;
    const filter = { deployment: toGlobalId('Deployment', worlds[0]!.deploymentId) };
    const [owner, caller] = [await api.tokenFor('viewer', 'acme'), await api.tokenFor('team_admin', 'bolt')];
    const whole = await ask(FROM, until, { filter });
    const seen = await ask(FROM, until, { groupBy: ['CALLER_TEAM'] }, owner.token);
    expect(seen.total).toEqual(whole.total);
    expect(seen.rows).toHaveLength(1 + CALLERS.length);
    expect(pico(whole.total)).toBeGreaterThan(0n);
    const callerTeam = toGlobalId('Team', worlds[1]!.teamId);
    expect((await ask(FROM, until, { filter: { callerTeam } }, owner.token)).rows[0]!.requests).toBeGreaterThan(0);
    for (const asked of [filter, { callerTeam, ...filter }]) {
      expect(await ask(FROM, until, { filter: asked, groupBy: ['CALLER_TEAM'] }, caller.token)).toMatchObject({
        total: { amount: '0' },
        rows: [],
      });
    }
  });

  test('an unknown price is time without an amount, never a cost of zero that looks like one', async () => {
    const filter = { deployment: toGlobalId('Deployment', worlds[1]!.deploymentId) };
    const until = Math.floor(NOW / MINUTE) * MINUTE - HOUR;
    const { total, unpricedMs, estimated } = await ask(FROM, until, { filter });
    expect([total.amount, estimated.amount, unpricedMs]).toEqual(['0', '0', until - FROM]);
  });

  test('a local replica costs an estimate until somebody sets a price; from then on it is exact', async () => {
    const filter = { deployment: toGlobalId('Deployment', worlds[0]!.deploymentId) };
    const closed = await ask(FROM, NOW - HOUR, { filter });
    expect(closed).toMatchObject({ isEstimate: false, estimated: closed.total });
    expect(pico(closed.total)).toBeGreaterThan(0n);
    const offering = { provider: 'aws', region: 'acme', instanceType: 'm5.large', capacityType: 'ON_DEMAND' };
    const set = await api.gql<{ setPriceOverride: { offering: { price: { source: string; effectiveFrom: string } } | null } }>(
      `mutation ($offering: OfferingKey!) { setPriceOverride(input: { offering: $offering, pricePerHour: "1.5" }) {
        offering { price { source effectiveFrom } } userErrors { code message } } }`,
      { variables: { offering } },
    );
    const price = set.data?.setPriceOverride.offering?.price;
    expect(price?.source).toBe('override');
    const since = Date.parse(price!.effectiveFrom);
    const after = await ask(FROM, Date.now() + MINUTE, { filter });
    expect(pico(after.estimated)).toBe(costOfInterval(RATE, FROM, since));
    expect(pico(after.total)).toBeGreaterThan(pico(after.estimated));
    // What was closed before stays what it was.
    expect(await ask(FROM, NOW - HOUR, { filter })).toEqual(closed);
  });
});
