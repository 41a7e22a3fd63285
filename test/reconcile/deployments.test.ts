// World before, a fault, wanted writes: real services and a real database, a cluster in memory that behaves, and a clock that is moved by hand.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventTypes, makeControlPlane, makeGround, rows, type Ground } from '../support/deployments-world.ts';

let db: TestDatabase;

beforeEach(async () => {
  db = await openTestDatabase({ maxConnections: 4 });
});
afterEach(() => db.close());

const fresh = async (): Promise<{ ground: Ground; plane: Awaited<ReturnType<typeof makeControlPlane>> }> => {
  const ground = await makeGround(db.database, 'acme');
  return { ground, plane: await makeControlPlane(ground) };
};

describe('Deployments: from wish to reality', () => {
  test('a first deployment becomes ready, with its revision, workload, replica, decision and events', async () => {
    const { ground, plane } = await fresh();
    const outcome = await plane.deploy(1, { replicas: 2 });
    expect(outcome).toMatchObject({ ok: true });
    expect((await plane.look()).phase).toBe('PENDING');
    const ready = await plane.until(({ phase }) => phase === 'READY');
    expect(ready.conditions.map(({ type, status }) => `${type} ${status}`)).toEqual([
      'Ready True',
      'Progressing False',
      'Available True',
      'WithinBudget True',
    ]);
    expect(ready.observedGeneration).toBe(ready.generation);
    expect(ground.cluster.running()).toEqual(['v1 serving ×2']);
    expect(await eventTypes(db.database, ground.teamId)).toEqual(
      expect.arrayContaining([
        'deployment.created',
        'rollout.started',
        'replica.started',
        'replica.ready',
        'rollout.finished',
        'deployment.phase_changed',
      ]),
    );
    const [decision] = await rows<{ kind: string; reasons: string[]; candidates: unknown[] }>(
      db.database,
      `select * from decision where team_id = $1`,
      [ground.teamId],
    );
    expect(decision).toMatchObject({ kind: 'deploy' });
    expect(decision?.candidates).toHaveLength(2);
    const [history] = await rows(db.database, `select generation, principal from deployment_history where team_id = $1`, [
      ground.teamId,
    ]);
    expect(history).toMatchObject({ generation: 1 });
  });

  test('a steady state writes nothing', async () => {
    const { ground, plane } = await fresh();
    await plane.deploy(1);
    await plane.until(({ phase }) => phase === 'READY');
    const fingerprint = () =>
      rows<{ all: string }>(
        db.database,
        `select string_agg(x, ',') as all from (select xmin::text || ctid::text as x from deployment union all select xmin::text || ctid::text from replica
         union all select xmin::text || ctid::text from workload union all select xmin::text || ctid::text from rollout
         union all select xmin::text || ctid::text from outbox union all select xmin::text || ctid::text from decision order by 1) s`,
      );
    const before = await fingerprint();
    for (let n = 0; n < 5; n += 1) {
      ground.clock.advance(10_000);
      await plane.pass();
    }
    expect(await fingerprint()).toEqual(before);
  });

  test('the new revision is ready before the old one drains, and weights move in steps', async () => {
    const { ground, plane } = await fresh();
    await plane.deploy(1);
    await plane.until(({ phase }) => phase === 'READY');
    await plane.deploy(2);
    const shares = new Set<string>();
    await plane.until(({ phase }) => {
      const running = ground.cluster.running().join(', ');
      if (running.includes('v1 draining')) expect(running).toContain('v2 serving');
      return phase === 'READY' && running === 'v2 serving ×1';
    });
    const steps = await rows<{ after: { state: string; step: number } }>(
      db.database,
      `select after from outbox where team_id = $1 and type like 'rollout.%' order by seq`,
      [ground.teamId],
    );
    for (const { after } of steps) shares.add(`${after.state} ${after.step}`);
    expect([...shares]).toEqual(['starting 0', 'draining 0', 'done 0', 'shifting 0', 'shifting 1', 'draining 2', 'done 2']);
    expect(ground.cluster.effects).toEqual(['apply v1 ×1', 'apply v2 ×1', 'remove v1']);
  });

  test.each(['never', 'failing', 'refused'] as const)(
    'a new revision that is %s ready is rolled back by itself, and the old one never stops serving',
    async (behaviour) => {
      const { ground, plane } = await fresh();
      ground.cluster.behaviours.set('2', behaviour);
      await plane.deploy(1);
      await plane.until(({ phase }) => phase === 'READY');
      await plane.deploy(2);
      const row = await plane.until(({ phase }) => {
        expect(ground.cluster.running()).toContain('v1 serving ×1');
        return phase === 'DEGRADED' && ground.cluster.running().length === 1;
      }, 200);
      expect(row.spec.traffic).toEqual([{ revision: 1, weight: 100 }]);
      const settled = await plane.until(({ conditions }) => conditions.some(({ reason }) => reason === 'RolloutRolledBack'), 10);
      expect(settled.conditions.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'False', reason: 'RolledBack' });
      expect(
        await rows(db.database, `select 1 from decision where team_id = $1 and kind = 'auto_rollback'`, [ground.teamId]),
      ).toHaveLength(1);
    },
  );

  test.each([
    ['30 errors in 100 requests is rolled back', { requests: 100, errors: 30 }, '30 of 100 requests met an error.'],
    // Routers pass over a replica that fails at once, so that few requests reach it.
    ['nothing but errors in three requests is rolled back', { requests: 3, errors: 3 }, '3 of 3 requests met an error.'],
    [
      'errors that were all sent again elsewhere is rolled back',
      { requests: 0, errors: 4 },
      'It met 4 errors; 0 requests were answered.',
    ],
    ['4 errors in 100 requests takes over', { requests: 100, errors: 4 }, null],
    ['errors in its only two requests takes over', { requests: 2, errors: 2 }, null],
    ['errors in less than half of few requests takes over', { requests: 19, errors: 9 }, null],
  ])('a new revision with %s', async (_what, seen, reason) => {
    const { ground, plane } = await fresh();
    await plane.deploy(1);
    await plane.until(({ phase }) => phase === 'READY');
    await plane.deploy(2);
    const [revision] = await rows<{ id: string }>(db.database, `select id from revision where team_id = $1 and number = 2`, [
      ground.teamId,
    ]);
    ground.errors.set(revision!.id, seen);
    const row = await plane.until(({ phase }) => phase === (reason ? 'DEGRADED' : 'READY'));
    const ready = row.conditions.find(({ type }) => type === 'Ready');
    if (reason)
      expect(ready).toMatchObject({ status: 'False', reason: 'RolledBack', message: `Revision 2 was rolled back: ${reason}` });
    else expect(ground.cluster.running()).toContain('v2 serving ×1');
  });

  test.each([
    ['failing', 'ReplicasFailing', 'It exited with status 1.'],
    ['never', 'ReplicasNotReady', '0 of 1 replicas are ready.'],
    ['refused', 'ReplicasFailing', 'NO_CONTAINER_RUNTIME: No engine.'],
  ] as const)(
    'a first revision that is %s ready fails, says why, and is ready once it can be',
    async (behaviour, reason, message) => {
      const { ground, plane } = await fresh();
      ground.cluster.behaviours.set('1', behaviour);
      await plane.deploy(1);
      const row = await plane.until(({ phase }) => phase === 'FAILED', 200);
      const ready = row.conditions.find(({ type }) => type === 'Ready');
      expect(ready).toMatchObject({ status: 'False', reason });
      expect(ready?.message).toContain(message);
      expect(row.conditions.find(({ type }) => type === 'Progressing')).toMatchObject({
        status: 'False',
        reason: 'RolloutFailed',
      });
      expect(row.conditions.find(({ type }) => type === 'Available')).toMatchObject({
        status: 'False',
        reason: 'NoReadyReplica',
      });
      ground.cluster.behaviours.set('1', 'ready');
      await plane.until(({ phase }) => phase === 'READY');
    },
  );

  test('deleting takes it out of the table first, drains it and ends it; its name is free again', async () => {
    const { ground, plane } = await fresh();
    await plane.deploy(1);
    await plane.until(({ phase }) => phase === 'READY');
    expect(await plane.deployments.delete(plane.caller, plane.ref)).toMatchObject({ ok: true });
    await plane.pass();
    expect(ground.cluster.running()).toEqual(['v1 serving ×1']);
    for (let n = 0; n < 6; n += 1) {
      ground.clock.advance(1_000);
      await plane.pass();
    }
    expect(ground.cluster.running()).toEqual([]);
    await expect(plane.look()).rejects.toThrow('no such deployment');
    expect(await eventTypes(db.database, ground.teamId)).toContain('deployment.gone');
    expect(await plane.deploy(2)).toMatchObject({ ok: true });
  });
});

describe('Deployments: what the loop counts', () => {
  test('replicas by state as last seen, rollouts by how they ended, passes that could not see', async () => {
    const { ground, plane } = await fresh();
    const metric = async (name: string) => (await plane.registry.getSingleMetric(name)?.get())?.values ?? [];
    const counted = async (name: string) =>
      Object.fromEntries((await metric(name)).map(({ labels, value }) => [String(Object.values(labels)[0] ?? ''), value]));
    await plane.deploy(1, { replicas: 2 });
    await plane.until(({ phase }) => phase === 'READY');
    expect(await counted('purser_replicas')).toEqual({ starting: 0, serving: 2, unready: 0, draining: 0 });
    ground.cluster.behaviours.set('2', 'failing');
    await plane.deploy(2);
    await plane.until(({ conditions }) => conditions.some(({ reason }) => reason === 'RolloutRolledBack'));
    expect(await counted('purser_rollouts_total')).toEqual({ done: 1, rolled_back: 1 });
    ground.cluster.reachable = false;
    await plane.pass();
    expect(await counted('purser_cluster_unseen_total')).toEqual({ '': 1 });
    plane.setLease(null);
    await plane.pass();
    expect(await metric('purser_replicas')).toEqual([]);
  });
});

describe('Deployments: faults', () => {
  test('a cluster that cannot be seen: nothing is deleted, scaled or started again', async () => {
    const { ground, plane } = await fresh();
    await plane.deploy(1);
    await plane.until(({ phase }) => phase === 'READY');
    ground.cluster.reachable = false;
    await plane.deploy(2, { replicas: 2 });
    for (let n = 0; n < 5; n += 1) {
      ground.clock.advance(60_000);
      await plane.pass();
    }
    expect(ground.cluster.effects).toEqual(['apply v1 ×1']);
    const blind = await plane.look();
    expect(blind.conditions.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'Unknown', reason: 'ClusterUnknown' });
    expect(
      await rows(db.database, `select 1 from replica where team_id = $1 and capacity_until is null`, [ground.teamId]),
    ).toHaveLength(1);
    ground.cluster.reachable = true;
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running()[0] === 'v2 serving ×2');
  });

  test('a leader frozen past its lease and thawed changes nothing, neither rows nor the cluster', async () => {
    const { ground, plane: frozen } = await fresh();
    await frozen.deploy(1);
    await frozen.until(({ phase }) => phase === 'READY');
    await frozen.deploy(2);
    const seen = await frozen.reconciler.prepare();
    const plan = frozen.reconciler.plan(seen, ground.clock.now());
    const next = await makeControlPlane(ground, { holder: 'two' });
    await next.until(({ phase }) => phase === 'READY' && ground.cluster.running()[0] === 'v2 serving ×1');
    const effects = [...ground.cluster.effects];
    const before = await next.look();
    await expect(frozen.reconciler.execute(plan, new AbortController().signal)).rejects.toThrow();
    await expect(frozen.pass())
      .rejects.toThrow(/./)
      .catch(() => undefined);
    expect(ground.cluster.effects).toEqual(effects);
    expect(await next.look()).toEqual(before);
  });

  test('the cluster itself refuses the effects of an older epoch', async () => {
    const { ground, plane: frozen } = await fresh();
    await frozen.deploy(1);
    await frozen.pass();
    const next = await makeControlPlane(ground, { holder: 'two' });
    await next.until(({ phase }) => phase === 'READY');
    await next.deploy(1, { replicas: 3 });
    const lease = frozen.lease;
    await next.pass();
    const spec = { ...(await frozen.look()) };
    expect(spec.spec.replicas).toBe(3);
    const stale = await ground.cluster.remove('00000000-0000-7000-8000-000000000000', { epoch: lease.epoch });
    expect(stale).toMatchObject({ outcome: 'stale_epoch' });
  });

  test('a wish that changes during a pass wins: the pass writes nothing about it', async () => {
    const { plane } = await fresh();
    await plane.deploy(1);
    const plan = plane.reconciler.plan(await plane.reconciler.prepare(), 0);
    await plane.deploy(1, { replicas: 2 });
    const before = await plane.look();
    await plane.reconciler.execute(plan, new AbortController().signal);
    expect(await plane.look()).toEqual(before);
    await plane.until(({ phase }) => phase === 'READY');
  });
});
