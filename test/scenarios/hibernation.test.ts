// Use cases against a real database: services as composed in production, a cluster in memory that behaves, a clock that is moved by hand.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planFromJson } from '../../src/deployments/plan-json.ts';
import type { Deployment } from '../../src/deployments/deployment.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
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

const deployed = async (number: number, more = {}) => {
  expect(await plane.deploy(number, more)).toMatchObject({ ok: true });
  return plane.until(({ phase }) => phase === 'READY');
};

const scaled = async (replicas: number) => {
  const outcome = await plane.deployments.scale(plane.caller, plane.ref, replicas);
  if (!outcome.ok) throw new Error(outcome.error.message);
  return planFromJson(outcome.value.plan);
};

const told = async () => {
  await plane.routes.refresh();
  return plane.routes.current()?.deployments[0];
};

const hibernated = () => plane.until(({ phase }) => phase === 'HIBERNATED' && ground.cluster.running().length === 0);

describe('Scale to zero: a deployment and back', () => {
  test('gives up every replica and costs nothing; the conditions say that it is wished', async () => {
    await deployed(1, { replicas: 2 });
    const plan = await scaled(0);
    expect(plan.actions).toEqual([{ kind: 'SCALE', message: 'Scale acme/demo/digits from 2 to 0 replicas: it hibernates.' }]);
    expect([plan.monthlyAfter, plan.peakReplicas, plan.costDelta < 0n]).toEqual([0n, 0, true]);
    expect(plan.risks).toEqual(['At 0 replicas requests are refused until it is scaled up.']);
    const { conditions, observedGeneration, generation } = await hibernated();
    expect(observedGeneration).toBe(generation);
    expect(conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`)).toEqual([
      'Ready=True Hibernated',
      'Progressing=False RolloutDone',
      'Available=False Hibernated',
      'WithinBudget=True BelowCap',
    ]);
    expect(await told()).toMatchObject({ wake: { wished: 0, since: null, etaMs: null } });
  });

  test('wakes with the same revision; routers learn that it is on its way and how long that mostly takes', async () => {
    await deployed(1);
    await scaled(0);
    await hibernated();
    ground.cluster.behaviours.set('1', 'never');
    await scaled(1);
    expect(await told()).toMatchObject({ wake: { wished: 1, since: null } });
    await plane.pass();
    await plane.pass();
    const [first, second] = await rows<{ since: number; ms: number | null }>(
      db.database,
      `select r.capacity_from as since, t.at - r.capacity_from as ms from replica r
       left join replica_transition t on t.replica_id = r.id and t.state = 'serving' order by r.capacity_from`,
    );
    const row = await told();
    expect(row?.wake).toEqual({ wished: 1, since: second?.since, etaMs: first?.ms });
    expect([first?.ms, second?.ms]).toEqual([expect.any(Number), null]);
    expect(row?.revisions).toMatchObject([{ number: 1, weight: 100, replicas: [] }]);
    ground.cluster.behaviours.set('1', 'ready');
    await plane.until(({ phase }) => phase === 'READY');
    expect(await told()).not.toHaveProperty('wake');
  });

  test('a steady state at 0 writes nothing', async () => {
    await deployed(1);
    await scaled(0);
    const before = await hibernated();
    const effects = ground.cluster.effects.length;
    for (let n = 0; n < 5; n += 1) await plane.pass();
    expect((await plane.look()).version).toBe(before.version);
    expect(ground.cluster.effects).toHaveLength(effects);
  });

  test('is deployed with 0 and starts nothing until it is scaled up', async () => {
    expect(await plane.deploy(1, { replicas: 0 })).toMatchObject({ ok: true });
    await hibernated();
    expect(ground.cluster.running()).toEqual([]);
    await scaled(2);
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running().join() === 'v1 serving ×2');
  });

  test('a new version of a hibernated deployment stays hibernated; scaled up it is the new one that starts', async () => {
    await deployed(1);
    await scaled(0);
    await hibernated();
    const outcome = await plane.deploy(2);
    if (!outcome.ok) throw new Error(outcome.error.message);
    expect(planFromJson(outcome.value.plan).actions.map(({ message }) => message)).toContain(
      'Create revision 2: digits version 2 on 0 replicas: it hibernates.',
    );
    await plane.until(({ phase, observedGeneration, generation }) => phase === 'HIBERNATED' && observedGeneration === generation);
    await scaled(1);
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running().join() === 'v2 serving ×1');
  });

  test('hibernated in the middle of a rollout it ends at the new revision, with no replica of either', async () => {
    await deployed(1);
    expect(await plane.deploy(2)).toMatchObject({ ok: true });
    await plane.until(() => ground.cluster.running().includes('v2 serving ×1'));
    await scaled(0);
    await hibernated();
    await scaled(1);
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running().join() === 'v2 serving ×1');
  });

  const conditionOf = (row: Deployment, type: string) => row.conditions.find((condition) => condition.type === type);

  test('woken with a new version that fails, it is the version of before that wakes, and the status says why', async () => {
    await deployed(1);
    await scaled(0);
    await hibernated();
    ground.cluster.behaviours.set('2', 'failing');
    expect(await plane.deploy(2, { replicas: 1 })).toMatchObject({ ok: true });
    const row = await plane.until(({ phase }) => phase === 'DEGRADED' && ground.cluster.running().join() === 'v1 serving ×1');
    expect(row.spec).toMatchObject({ replicas: 1, traffic: [{ revision: 1, weight: 100 }] });
    expect(conditionOf(row, 'Ready')).toMatchObject({ status: 'False', reason: 'RolledBack' });
    expect(conditionOf(row, 'Ready')?.message).toMatch(/^Revision 2 was rolled back: .*It exited with status 1\.$/);
    expect(conditionOf(row, 'Available')?.status).toBe('True');
    expect((await told())?.revisions).toMatchObject([{ number: 1, weight: 100, replicas: [expect.anything()] }]);
    await plane.until(({ conditions }) => conditions.some(({ reason }) => reason === 'RolloutRolledBack'));
    const { version } = await plane.look();
    for (let n = 0; n < 5; n += 1) await plane.pass();
    expect((await plane.look()).version).toBe(version);
    const decided = await rows<{ reasons: string[] }>(db.database, `select reasons from decision where kind = 'auto_rollback'`);
    expect(decided.map(({ reasons }) => reasons[1])).toEqual([
      'What it goes back to had 0 replicas: it gets 1 on acme, as wished.',
    ]);
  });

  test('where the version of before would cost more than was asked for, it stays asleep: failed, with the reason and what to do', async () => {
    await deployed(1, { resources: { cpuMilli: 3_000, memoryMib: 256, accelerator: null } });
    await scaled(0);
    await hibernated();
    ground.cluster.behaviours.set('2', 'failing');
    const small = { cpuMilli: 250, memoryMib: 256, accelerator: null };
    expect(await plane.deploy(2, { replicas: 1, resources: small })).toMatchObject({ ok: true });
    const row = await plane.until(({ phase }) => phase === 'FAILED');
    expect(ground.cluster.running()).toEqual([]);
    expect(conditionOf(row, 'Ready')?.message).toMatch(
      /^Revision 2 was rolled back: .*status 1\. .*0 replicas.*purser scale acme\/demo\/digits --replicas 1/,
    );
    expect(await told()).not.toHaveProperty('wake');
    await scaled(1);
    await plane.until(({ phase }) => phase === 'DEGRADED' && ground.cluster.running().join() === 'v1 serving ×1');
  });

  test('whose replicas fail is no longer failing once none is wished', async () => {
    ground.cluster.behaviours.set('1', 'failing');
    await plane.deploy(1);
    await plane.until(({ phase }) => phase === 'FAILED');
    expect(await told()).not.toHaveProperty('wake');
    await scaled(0);
    await hibernated();
  });

  test('fewer than 0 are refused', async () => {
    await deployed(1);
    expect(await plane.deployments.scale(plane.caller, plane.ref, -1)).toMatchObject({ error: { code: 'INVALID_INPUT' } });
    expect(await plane.deploy(1, { replicas: -1 })).toMatchObject({ error: { code: 'INVALID_INPUT' } });
  });
});
