// Rolls versions out and back on a clock moved by hand, in the past of the API's own, then asks the API what was live when.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';
import { makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';

let api: TestApi;
let ground: Ground;
let plane: ControlPlane;
/** Instants between the steps of the story. */
const at = { nothing: 0, first: 0, shifting: 0, second: 0, deleted: 0 };

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
  expect(await plane.deploy(1, { replicas: 2 })).toMatchObject({ ok: true });
  await plane.until(({ phase }) => phase === 'READY');
  at.first = rest();
  expect(await plane.deploy(2, { replicas: 2 })).toMatchObject({ ok: true });
  await untilShifting();
  at.shifting = clock.now();
  clock.advance(1);
  await plane.until(({ phase }) => phase === 'READY');
  at.second = rest();
  expect(await plane.deployments.delete(plane.caller, plane.ref)).toMatchObject({ ok: true });
  await expect(plane.until(() => false, 20)).rejects.toThrow();
  at.deleted = rest();
});
afterAll(() => api.close());

async function untilShifting(): Promise<void> {
  for (let n = 0; n < 40; n += 1) {
    await plane.pass();
    const [rollout] = await rows<{ state: string }>(api.db.database, `select state from rollout order by started_at desc limit 1`);
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
    expect([...all].map(([number, intervals]) => [number, intervals.length])).toEqual([[3, 0], [2, 1], [1, 1]]);
    const [first] = all.get(1)!;
    const [second] = all.get(2)!;
    expect(first).toMatchObject({ deploymentPath: 'acme/demo/digits', deployment: null });
    // The new revision served before the old one stopped, and the old one ended before the deployment did.
    expect([Date.parse(first!.from) < at.first, Date.parse(second!.from) <= at.shifting, Date.parse(first!.to!) > at.shifting]).toEqual([true, true, true]);
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
