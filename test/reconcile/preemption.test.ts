// Deployments of three priorities of one team under a quota, on a simulated cluster and a real database: who gives way, what is written of it, and who
// comes back.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Restoration } from '../../src/deployments/restoration.service.ts';
import { SpotRepository } from '../../src/deployments/spot.repository.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { newId } from '../../src/kernel/id.ts';
import { acquireLease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addCluster, eventTypes, makeControlPlane, makeGround, rows, type Ground } from '../support/deployments-world.ts';
import { on } from '../support/spanning-world.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

/** At most so many replicas for the team. */
async function limitReplicas({ database, clock, random, teamId }: Ground, maximum: bigint): Promise<void> {
  const quota = { teamId, projectId: null, resource: 'replicas' as const, maximum, version: 1 };
  const by = { at: clock.now(), principal: 'test' };
  await database.write(SYSTEM, async (tx) => {
    await new IdentityRepository().saveQuota(tx, { id: newId(clock.now(), random), ...quota }, by);
  });
}

describe('Preemption: lower priority gives way where a quota is short', () => {
  test('what runs on a cluster that nobody sees frees nothing, and is not what a deployment goes on serving with', async () => {
    const ground = await makeGround(db.database, 'unseen');
    await addCluster(ground, 'unseen-west');
    await limitReplicas(ground, 3n);
    const plane = await makeControlPlane(ground);
    const spread = { replicas: 3, ...on(['unseen', 2], ['unseen-west', 1]) };
    expect(await plane.deploy(1, { name: 'nightly', priority: 'low', ...spread })).toMatchObject({ ok: true });
    const condition = { type: 'Reachable', status: 'False', reason: 'Unreachable', message: '', lastTransitionTime: 0 };
    await db.database.write(SYSTEM, (tx) =>
      sqlOf(tx).execute(`update cluster set conditions = $1::jsonb where name = 'unseen-west'`, [JSON.stringify([condition])]),
    );
    const urgent = (name: string) => plane.deploy(1, { name, priority: 'high', replicas: 1, ...on(['unseen', 1]) });
    expect(await urgent('one')).toMatchObject({ ok: true });
    // One is left where it can be seen to serve.
    expect(await urgent('another')).toMatchObject({ ok: false, error: { code: 'QUOTA_EXCEEDED' } });
    const left = await rows<{ name: string; replicas: number }>(
      db.database,
      `select c.name, w.replicas from workload w join cluster c on c.id = w.cluster_id join deployment d on d.id = w.deployment_id
       where d.name = 'nightly' and d.team_id = $1 and w.removed_at is null order by c.name`,
      [ground.teamId],
    );
    expect(left).toEqual([
      { name: 'unseen', replicas: 1 },
      { name: 'unseen-west', replicas: 1 },
    ]);
  });

  test('never the last replica, never above the quota, each with its reason; what gave way comes back when there is room', async () => {
    const { database } = db;
    const ground = await makeGround(database, 'preempt');
    const { clock, teamId } = ground;
    await limitReplicas(ground, 6n);
    const plane = await makeControlPlane(ground);
    const deploy = (name: string, priority: 'low' | 'normal' | 'high', replicas: number) =>
      plane.deploy(1, { name, priority, replicas });
    const held = async () => {
      const counts = await rows<{ name: string; replicas: number }>(
        database,
        `select d.name, sum(w.replicas)::integer as replicas from deployment d join workload w on w.deployment_id = d.id
         where d.team_id = $1 and d.deleted_at is null and w.removed_at is null group by d.name order by d.name`,
        [teamId],
      );
      return Object.fromEntries(counts.map(({ name, replicas }) => [name, replicas]));
    };
    expect(await deploy('batch', 'low', 4)).toMatchObject({ ok: true });
    expect(await deploy('site', 'normal', 2)).toMatchObject({ ok: true });
    expect(await deploy('more', 'low', 1)).toMatchObject({ ok: false, error: { code: 'QUOTA_EXCEEDED' } });
    expect(await deploy('urgent', 'high', 3)).toMatchObject({ ok: true });
    expect(await held()).toEqual({ batch: 1, site: 2, urgent: 3 });
    expect(await deploy('huge', 'high', 3)).toMatchObject({ ok: false, error: { code: 'QUOTA_EXCEEDED' } });
    expect(await held()).toEqual({ batch: 1, site: 2, urgent: 3 });

    const reasons = await rows<{ reasons: string[] }>(
      database,
      `select reasons from decision where kind = 'preempt' and team_id = $1`,
      [teamId],
    );
    expect(reasons[0]?.reasons[0]).toContain('3 of 4 replicas of preempt/demo/batch (low) gave way to urgent (high)');
    expect((await eventTypes(database, teamId)).filter((type) => type === 'scaling.preempted')).toHaveLength(1);
    const wished = await rows<{ replicas: number }>(
      database,
      `select (spec ->> 'replicas')::integer as replicas from deployment where name = 'batch'`,
    );
    expect(wished).toEqual([{ replicas: 4 }]);

    const lease = await database.write(SYSTEM, (tx) => acquireLease(tx, 'spot', 'me'));
    const restoration = new Restoration({ ...plane.depsOf(ground.clusterId, ground.cluster), spot: new SpotRepository() });
    const restore = () => {
      clock.advance(1_000);
      return restoration.pass(lease, new AbortController().signal);
    };
    for (let n = 0; n < 40; n += 1) {
      await plane.pass();
      clock.advance(500);
    }
    await restore();
    expect(await held()).toEqual({ batch: 1, site: 2, urgent: 3 });
    const ref = { deployment: { teamName: 'preempt', projectName: 'demo', name: 'urgent' }, expectedVersion: null };
    expect(await plane.deployments.scale(plane.caller, ref, 1)).toMatchObject({ ok: true });
    await restore();
    expect(await held()).toEqual({ batch: 2, site: 2, urgent: 1 });
    expect(await plane.deployments.scale(plane.caller, ref, 0)).toMatchObject({ ok: true });
    const limit = (maxReplicas: number) =>
      database.write(SYSTEM, (tx) =>
        sqlOf(tx).execute(`update deployment set spec = jsonb_set(spec, '{maxReplicas}', $1::jsonb) where name = 'batch'`, [
          String(maxReplicas),
        ]),
      );
    await limit(3);
    await restore();
    await restore();
    expect(await held()).toEqual({ batch: 3, site: 2, urgent: 0 });
    await limit(4);
    await restore();
    expect(await held()).toEqual({ batch: 4, site: 2, urgent: 0 });
    expect((await eventTypes(database, teamId)).filter((type) => type === 'scaling.restored').length).toBeGreaterThan(1);
    const before = (await eventTypes(database, teamId)).length;
    await restore();
    expect((await eventTypes(database, teamId)).length).toBe(before);
    // It has come back: who takes replicas away for another reason gives them back himself.
    await database.write(SYSTEM, (tx) =>
      sqlOf(tx).execute(`update workload set replicas = 2 from deployment d where d.id = deployment_id and d.name = 'batch'`),
    );
    await restore();
    expect(await held()).toEqual({ batch: 2, site: 2, urgent: 0 });
  });
});
