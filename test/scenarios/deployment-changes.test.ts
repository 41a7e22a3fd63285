// Changes of a deployment against a real database: planned first, run by their hash, told by events in order. Cluster in memory, clock by hand.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planFromJson } from '../../src/deployments/plan-json.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { planText, setPriceOf } from '../support/deployment-plans.ts';
import { makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';

let db: TestDatabase;
let ground: Ground;
let plane: ControlPlane;

beforeEach(async () => {
  db = await openTestDatabase();
  ground = await makeGround(db.database, 'acme');
  plane = await makeControlPlane(ground);
});
afterEach(() => db.close());

const ready = async (number: number) => {
  expect(await plane.deploy(number)).toMatchObject({ ok: true });
  return plane.until(({ phase }) => phase === 'READY');
};

const setPrice = (index: number, usd: bigint) => setPriceOf(ground, index, usd);

describe('Deployments: every change can be planned first', () => {
  type Change = (how: { dryRun?: boolean; planHash?: string }) => ReturnType<typeof plane.deployments.delete>;
  const changes = (): Readonly<
    Record<string, { readonly run: Change; readonly text: string; readonly done: () => Promise<unknown> }>
  > => ({
    scale: {
      run: (how) => plane.deployments.scale(plane.caller, { ...plane.ref, ...how }, 3),
      text: `SCALE: Scale acme/demo/digits from 1 to 3 replicas.
        m5.large 0.1 chosen
        delta 0.2/h, 219/month, peak 3 replicas 0.3/h`,
      done: () => plane.until(() => ground.cluster.running().join() === 'v2 serving ×3'),
    },
    'set traffic': {
      run: (how) =>
        plane.deployments.setTraffic(plane.caller, { ...plane.ref, ...how }, [
          { revision: 1, weight: 30 },
          { revision: 2, weight: 70 },
        ]),
      text: `SET_TRAFFIC: Share the traffic of acme/demo/digits: revision 1 30 %, revision 2 70 %.
        m5.large 0.1 chosen
        delta 0.1/h, 146/month, peak 2 replicas 0.2/h`,
      done: () => plane.until(() => ground.cluster.running().join() === 'v1 serving ×1,v2 serving ×1'),
    },
    'roll back': {
      run: (how) => plane.deployments.rollback(plane.caller, { ...plane.ref, ...how }, null),
      text: `START_ROLLOUT: Shift the traffic of acme/demo/digits back to revision 1 in steps once it is ready.
        m5.large 0.1 chosen
        delta 0/h, 73/month, peak 2 replicas 0.2/h
        risk: While traffic shifts, both revisions run and cost.`,
      done: () => plane.until(() => ground.cluster.running().join() === 'v1 serving ×1'),
    },
    delete: {
      run: (how) => plane.deployments.delete(plane.caller, { ...plane.ref, ...how }),
      text: `DELETE_DEPLOYMENT: Drain acme/demo/digits and give everything up; its history and costs stay.
        m5.large 0.1 chosen
        delta -0.1/h, 0/month, peak 1 replicas 0.1/h
        risk: Requests to it are refused from then on.`,
      done: async () => expect((await plane.look()).deletedAt).not.toBeNull(),
    },
  });

  test.each(['scale', 'set traffic', 'roll back', 'delete'])(
    '%s: shown with its price, run by its hash, refused when dearer',
    async (name) => {
      await ready(1);
      await ready(2);
      await plane.until(() => ground.cluster.running().join() === 'v2 serving ×1');
      const { run, text, done } = changes()[name]!;
      const before = await plane.look();
      const shown = await run({ dryRun: true });
      if (!shown.ok) throw new Error(shown.error.message);
      const plan = planFromJson(shown.value.plan);
      expect(planText(plan)).toBe(text.replace(/\n +/g, '\n'));
      expect(shown.value).toMatchObject({ decisionId: null, expiresAt: ground.clock.now() + 600_000 });
      expect(await plane.look()).toEqual(before);
      await setPrice(0, (PICO_PER_USD * 11n) / 100n);
      expect(await run({ planHash: plan.hash })).toMatchObject({ ok: false, error: { code: 'CONFLICT', path: ['planHash'] } });
      expect(await run({ planHash: 'sha256:of nothing' })).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
      expect(await plane.look()).toEqual(before);
      await setPrice(0, PICO_PER_USD / 20n);
      expect(await run({ planHash: plan.hash })).toMatchObject({ ok: true, value: { expiresAt: null } });
      await done();
    },
  );

  test('a plan of one change does not run another, and none runs after the deployment has changed', async () => {
    await ready(1);
    const shown = await changes().scale!.run({ dryRun: true });
    if (!shown.ok) throw new Error(shown.error.message);
    const { hash } = planFromJson(shown.value.plan);
    expect(await changes().delete!.run({ planHash: hash })).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
    await ready(2);
    expect(await changes().scale!.run({ planHash: hash })).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
  });
});

describe('Deployments: events', () => {
  test('of every subject the events are in the order of its versions, each higher than the one before', async () => {
    await ready(1);
    await plane.deployments.scale(plane.caller, plane.ref, 2);
    await plane.until(() => ground.cluster.running().join() === 'v1 serving ×2');
    await ready(2);
    await plane.deployments.rollback(plane.caller, plane.ref, null);
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running().join() === 'v1 serving ×2');
    await plane.deployments.delete(plane.caller, plane.ref);
    await plane.until(() => false, 20).catch(() => undefined);
    const events = await rows<{ subject: string; type: string; version: number }>(
      db.database,
      `select subject_kind || ' ' || subject_id as subject, type, subject_version as version from outbox order by seq`,
    );
    expect(new Set(events.map(({ type }) => type))).toContain('deployment.gone');
    const last = new Map<string, number>();
    for (const { subject, type, version } of events) {
      expect(version, `${type} of ${subject}`).toBeGreaterThan(last.get(subject) ?? 0);
      last.set(subject, version);
    }
  });
});

describe('Deployments: one writer', () => {
  const manager = 'ModelDeployment east/shop/digits';
  const by = (who: string | null, more: object = {}) => plane.deploy(1, { ...(who === null ? {} : { manager: who }), ...more });
  const refusedFor = (message: string) => ({ ok: false, error: { code: 'PRECONDITION_FAILED', message } });

  test('what another system manages is changed by nobody else, and by that one alone', async () => {
    expect(await by(manager)).toMatchObject({ ok: true });
    await plane.until(({ phase }) => phase === 'READY');
    const elsewhere = refusedFor(`It is managed by ${manager}: change it there.`);
    expect(await by(null, { replicas: 2 })).toMatchObject(elsewhere);
    expect(await by('ModelDeployment west/shop/digits', { replicas: 2 })).toMatchObject(elsewhere);
    expect(await plane.deployments.scale(plane.caller, plane.ref, 2)).toMatchObject(elsewhere);
    expect(await plane.deployments.delete(plane.caller, plane.ref)).toMatchObject(elsewhere);
    expect(await by(manager, { replicas: 2 })).toMatchObject({ ok: true });
    expect(await plane.deployments.delete(plane.caller, { ...plane.ref, manager })).toMatchObject({ ok: true });
  });

  test('what was made through the API is not taken over', async () => {
    await ready(1);
    expect(await by(manager)).toMatchObject(refusedFor(`It is not managed by ${manager} but through the API.`));
  });
});
