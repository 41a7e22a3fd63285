// Rolls versions out and back on a clock moved by hand, in the past of the API's own, then asks the API what was live when.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CostRepository } from '../../src/costs/cost.repository.ts';
import { makeCostMetrics } from '../../src/costs/costs.metrics.ts';
import { CostsReconciler } from '../../src/costs/costs.reconciler.ts';
import { newId } from '../../src/kernel/id.ts';
import { formatUsd, PICO_PER_USD } from '../../src/kernel/money.ts';
import { acquireLease } from '../../src/persistence/lease.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import { makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';

let api: TestApi;
let ground: Ground;
let plane: ControlPlane;
/** Instants between the steps of the story. */
const at = { nothing: 0, first: 0, shifting: 0, second: 0, closed: 0, deleted: 0 };
const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;

beforeAll(async () => {
  api = await startApi();
  ground = await makeGround(api.db.database, 'acme');
  plane = await makeControlPlane(ground);
  const { clock } = ground;
  const rest = (): number => {
    clock.advance(60_000);
    return clock.now() - 30_000;
  };
  at.nothing = rest();
  await pointStable(1);
  expect(await plane.deploy(1, { replicas: 2 })).toMatchObject({ ok: true });
  await plane.until(({ phase }) => phase === 'READY');
  at.first = rest();
  await pointStable(2);
  expect(await plane.deploy(2, { replicas: 2 })).toMatchObject({ ok: true });
  await untilShifting();
  at.shifting = clock.now();
  clock.advance(1);
  await plane.until(({ phase }) => phase === 'READY');
  at.second = rest();
  // A price that holds from the beginning but becomes known only now.
  await setPrice(ground.clock.now(), at.nothing);
  clock.advance(15 * 60_000);
  await plane.pass();
  await closeMinutes();
  at.closed = clock.now() + 1;
  clock.advance(2);
  expect(await plane.deployments.delete(plane.caller, plane.ref)).toMatchObject({ ok: true });
  await expect(plane.until(() => false, 20)).rejects.toThrow();
  at.deleted = rest();
});
afterAll(() => api.close());

async function pointStable(number: number): Promise<void> {
  const model = { teamName: 'acme', projectName: 'demo', name: 'digits' };
  expect(await plane.models.setAlias(plane.caller, { model, name: 'stable', number })).toMatchObject({ ok: true });
}

async function setPrice(observedAt: number, effectiveFrom: number): Promise<void> {
  const amount = (3n * PICO_PER_USD) / 10n;
  const amounts = { list: amount, contracted: amount, effective: amount };
  const row = {
    id: newId(observedAt, ground.random),
    offeringId: ground.offerings[0]!.id,
    ...amounts,
    effectiveFrom,
    observedAt,
    source: 'late',
    state: 'believed' as const,
  };
  await api.db.database.write(SYSTEM, (tx) => new PriceRepository().append(tx, row, 'test'));
}

/** No router reports here, so that minutes close by their age. */
async function closeMinutes(): Promise<void> {
  const { database } = api.db;
  const lease = await database.write(SYSTEM, (tx) => acquireLease(tx, 'costs', 'test'));
  const metrics = makeCostMetrics(makeMetricRegistry());
  const reconciler = new CostsReconciler({
    database,
    store: new CostRepository(),
    clock: ground.clock,
    logger: quietLogger,
    metrics,
    lease: () => lease,
  });
  await reconciler.execute(reconciler.plan(await reconciler.prepare(), ground.clock.now()), new AbortController().signal);
}

async function untilShifting(): Promise<void> {
  for (let n = 0; n < 40; n += 1) {
    await plane.pass();
    const [rollout] = await rows<{ state: string }>(
      api.db.database,
      `select state from rollout order by started_at desc limit 1`,
    );
    if (rollout?.state === 'shifting') return;
    ground.clock.advance(500);
  }
  throw new Error('it never shifted');
}

const iso = (instant: number): string => new Date(instant).toISOString();

describe('API: what was live when', () => {
  const SERVED = `query ($range: TimeRange) { model(by: { path: "acme/demo/digits" }) { versions(first: 3) { nodes {
    number served(range: $range) { deploymentPath from to deployment { path } } } } } }`;
  type Interval = { from: string; to: string | null; deploymentPath: string; deployment: null };
  interface Versions {
    readonly model: { readonly versions: { readonly nodes: { readonly number: number; readonly served: Interval[] }[] } };
  }
  const served = async (range: object | null, token = api.adminToken) => {
    const { data } = await api.gql<Versions>(SERVED, { token, variables: { range } });
    return new Map((data?.model.versions.nodes ?? []).map((version) => [version.number, version.served]));
  };

  test('each version says when it served, replicas merged, and a version that never served says nothing', async () => {
    const all = await served(null);
    expect([...all].map(([number, intervals]) => [number, intervals.length])).toEqual([
      [3, 0],
      [2, 1],
      [1, 1],
    ]);
    const [first] = all.get(1)!;
    const [second] = all.get(2)!;
    expect(first).toMatchObject({ deploymentPath: 'acme/demo/digits', deployment: null });
    // The new revision served before the old one stopped, and the old one ended before the deployment did.
    expect([
      Date.parse(first!.from) < at.first,
      Date.parse(second!.from) <= at.shifting,
      Date.parse(first!.to!) > at.shifting,
    ]).toEqual([true, true, true]);
    expect(Date.parse(second!.to!)).toBeLessThan(at.deleted);
  });

  test('a range leaves out what does not touch it', async () => {
    const before = await served({ from: iso(0), to: iso(at.first) });
    expect([before.get(1)?.length, before.get(2)?.length]).toEqual([1, 0]);
    const after = await served({ from: iso(at.second), to: iso(at.deleted) });
    expect([after.get(1)?.length, after.get(2)?.length]).toEqual([0, 1]);
    expect((await served({ from: iso(at.deleted), to: iso(at.deleted) })).get(2)).toEqual([]);
  });
});

describe('API: a snapshot of the past', () => {
  const AS_OF = `query ($instant: DateTime!) { asOf(instant: $instant) {
    instant cost { amount }
    aliases { nodes { modelPath name principal version { number } } }
    deployments { nodes {
      deploymentId path generation validFrom principal spec hourlyCost { amount } cost { amount }
      traffic { revision weight modelVersion { number } }
      replicas { revision state from to offering price { perHour { amount } source } } } } } }`;

  interface Replica {
    readonly revision: number;
    readonly state: string;
    readonly from: string;
    readonly to: string | null;
    readonly offering: string;
    readonly price: { readonly perHour: { readonly amount: string }; readonly source: string } | null;
  }
  interface Past {
    readonly instant: string;
    readonly cost: { readonly amount: string };
    readonly aliases: {
      readonly nodes: { readonly modelPath: string; readonly name: string; readonly version: { readonly number: number } }[];
    };
    readonly deployments: {
      readonly nodes: {
        readonly path: string;
        readonly generation: number;
        readonly validFrom: string;
        readonly spec: { readonly replicas: number; readonly maxSpendPerHour: string };
        readonly hourlyCost: { readonly amount: string };
        readonly cost: { readonly amount: string };
        readonly traffic: {
          readonly revision: number;
          readonly weight: number;
          readonly modelVersion: { readonly number: number } | null;
        }[];
        readonly replicas: Replica[];
      }[];
    };
  }
  const asOf = async (instant: number, token = api.adminToken): Promise<Past> => {
    const { data, text } = await api.gql<{ asOf: Past }>(AS_OF, { token, variables: { instant: iso(instant) } });
    if (!data) throw new Error(text);
    return data.asOf;
  };
  const share = (revision: number, weight: number) => ({ revision, weight, modelVersion: { number: revision } });

  test('before the beginning there is nothing, after the end nothing any more', async () => {
    for (const instant of [at.nothing, at.deleted]) expect((await asOf(instant)).deployments.nodes).toEqual([]);
    expect(await asOf(at.nothing)).toMatchObject({ instant: iso(at.nothing), cost: { amount: '0' }, aliases: { nodes: [] } });
  });

  test('it shows the wish, the split, the replicas and the price of then', async () => {
    const [first, ...others] = (await asOf(at.first)).deployments.nodes;
    expect(others).toEqual([]);
    expect(first).toMatchObject({
      path: 'acme/demo/digits',
      generation: 1,
      hourlyCost: { amount: '0.2' },
      cost: { amount: '0' },
      traffic: [share(1, 100)],
    });
    expect(first?.spec).toMatchObject({ replicas: 2, maxSpendPerHour: '5' });
    expect(Date.parse(first!.validFrom)).toBeLessThan(at.first);
    expect(
      first?.replicas.map(({ revision, state, offering, price }) => [revision, state, offering, price?.perHour.amount]),
    ).toEqual([1, 2].map(() => [1, 'SERVING', 'aws/us-east-1/-/m5.large/on_demand', '0.1']));
  });

  test('in the midst of a rollout both revisions run and the weights are those of the step', async () => {
    const [shifting] = (await asOf(at.shifting)).deployments.nodes;
    expect(shifting).toMatchObject({ generation: 2, traffic: [share(1, 90), share(2, 10)], hourlyCost: { amount: '0.4' } });
    expect(shifting?.replicas.map(({ revision }) => revision)).toEqual([1, 1, 2, 2]);
    const [second] = (await asOf(at.second)).deployments.nodes;
    expect(second).toMatchObject({ generation: 2, traffic: [share(2, 100)], hourlyCost: { amount: '0.2' } });
    expect(second?.replicas.map(({ revision, state }) => [revision, state])).toEqual([
      [2, 'SERVING'],
      [2, 'SERVING'],
    ]);
  });

  test('aliases point where they pointed', async () => {
    const versions = await Promise.all(
      [at.first, at.second, at.deleted].map(async (instant) => (await asOf(instant)).aliases.nodes),
    );
    expect(
      versions.map((nodes) => nodes.map(({ modelPath, name, version }) => `${modelPath}@${name} ${version.number}`)),
    ).toEqual([1, 2, 2].map((number) => [`acme/demo/digits@stable ${number}`]));
  });

  test('a price counts from when it became known, a line from when it was written', async () => {
    const [sum] = await rows<{ sum: string }>(api.db.database, `select sum(effective)::text as sum from ledger_line`);
    const closed = await asOf(at.closed);
    const [deployment] = closed.deployments.nodes;
    expect(deployment?.replicas.map(({ price }) => price?.source)).toEqual(['late', 'late']);
    expect(BigInt(sum!.sum)).toBeGreaterThan(0n);
    expect(closed.cost.amount).toBe(formatUsd(BigInt(sum!.sum)));
    expect(deployment?.cost.amount).toBe(closed.cost.amount);
    expect((await asOf(at.closed - 1)).cost.amount).toBe('0');
  });

  test('pages go on behind a cursor', async () => {
    const query = `query ($instant: DateTime!, $after: String) { asOf(instant: $instant) { deployments(first: 1, after: $after) { nodes { path } pageInfo { hasNextPage endCursor } } } }`;
    const page = async (after: string | null) => {
      const { data } = await api.gql<{
        asOf: { deployments: { nodes: unknown[]; pageInfo: { hasNextPage: boolean; endCursor: string } } };
      }>(query, {
        variables: { instant: iso(at.first), after },
      });
      return data!.asOf.deployments;
    };
    const first = await page(null);
    expect(first).toMatchObject({ nodes: [{ path: 'acme/demo/digits' }], pageInfo: { hasNextPage: false } });
    expect((await page(first.pageInfo.endCursor)).nodes).toEqual([]);
  });

  test('another team sees nothing of it', async () => {
    const { token } = await api.tokenFor('team_admin', 'bystander');
    expect(await asOf(at.closed, token)).toMatchObject({
      cost: { amount: '0' },
      aliases: { nodes: [] },
      deployments: { nodes: [] },
    });
  });

  test('the last ten seconds and the future are refused with the reason', async () => {
    for (const instant of [Date.now(), Date.now() - 5_000, Date.now() + 3_600_000]) {
      const answer = await api.gql(AS_OF, { variables: { instant: iso(instant) } });
      expect(answer.errors).toMatchObject([
        { message: expect.stringMatching(/at least 10 seconds ago/) as string, extensions: { code: 'BAD_USER_INPUT' } },
      ]);
    }
  });
});
