// Use cases against a real database: services as composed in production, a cluster in memory that behaves, a clock that is moved by hand.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planFromJson } from '../../src/deployments/plan-json.ts';
import type { Plan } from '../../src/deployments/plan.ts';
import type { TableVersion } from '../../src/deployments/route-table-store.port.ts';
import { RouteTableRepository } from '../../src/deployments/route-table.repository.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { canonicalJson } from '../../src/kernel/digest.ts';
import type { Json } from '../../src/kernel/event.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { newId } from '../../src/kernel/id.ts';
import type { Transaction } from '../../src/kernel/transaction.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { principalOf } from '../support/actors.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { planText, setPriceOf } from '../support/deployment-plans.ts';
import { makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;
const CAUSE = { at: 0, principal: 'test' };
let db: TestDatabase;
let ground: Ground;
let plane: ControlPlane;

beforeEach(async () => {
  db = await openTestDatabase();
  ground = await makeGround(db.database, 'acme');
  plane = await makeControlPlane(ground);
});
afterEach(() => db.close());

const ready = async (number = 1, more = {}) => {
  expect(await plane.deploy(number, more)).toMatchObject({ ok: true });
  return plane.until(({ phase }) => phase === 'READY');
};

const setPrice = (index: number, usd: bigint) => setPriceOf(ground, index, usd);

const dryRun = async (number: number, more = {}): Promise<Plan> => {
  const outcome = await plane.deploy(number, more, { dryRun: true });
  if (!outcome.ok) throw new Error(outcome.error.message);
  return planFromJson(outcome.value.plan);
};

describe('Deployments: dry run and plan hash', () => {
  test('a dry run changes nothing and shows a priced plan with why the others lost', async () => {
    expect(planText(await dryRun(1, { replicas: 2 }))).toMatchInlineSnapshot(`
      "CREATE_DEPLOYMENT: Create the deployment acme/demo/digits.
      CREATE_REVISION: Create revision 1: digits version 1 on 2 replicas.
      START_ROLLOUT: Send all traffic to revision 1 once it is ready.
      m5.large 0.1 chosen
      m5.xlarge 0.2 DEARER: It costs 0.1 USD per hour more than the chosen one.
      delta 0.2/h, 146/month, peak 2 replicas 0.2/h"
    `);
    expect(await rows(db.database, `select 1 from deployment`)).toEqual([]);
    await ready(1, { replicas: 2 });
    expect(planText(await dryRun(2, { replicas: 3 }))).toMatchInlineSnapshot(`
      "UPDATE_DEPLOYMENT: Update the wish of acme/demo/digits (generation 2).
      CREATE_REVISION: Create revision 2: digits version 2 on 3 replicas.
      START_ROLLOUT: Shift traffic to revision 2 in steps once it is ready; go back if it fails.
      m5.large 0.1 chosen
      m5.xlarge 0.2 DEARER: It costs 0.1 USD per hour more than the chosen one.
      delta 0.1/h, 219/month, peak 5 replicas 0.5/h
      risk: While traffic shifts, both revisions run and cost."
    `);
    expect(planText(await dryRun(1)).split('\n')[0]).toBe('NOTHING: Nothing changes: it is as wished.');
  });

  test('the shown plan runs by its hash, also when it became cheaper', async () => {
    const { hash } = await dryRun(1);
    await setPrice(0, PICO_PER_USD / 20n);
    expect(await plane.deploy(1, {}, { planHash: hash })).toMatchObject({ ok: true });
  });

  test('a dearer price, another offering, another wish or ten minutes: CONFLICT with both plans, and nothing is done', async () => {
    const { hash } = await dryRun(1);
    const refused = async (more = {}) => {
      const outcome = await plane.deploy(1, more, { planHash: hash });
      expect(outcome).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
      if (outcome.ok) throw new Error('it ran');
      return outcome.error;
    };
    expect(planFromJson((await refused({ replicas: 2 })).details?.plan as never).peakReplicas).toBe(2);
    for (const more of [
      { maxReplicas: 9 },
      { maxSpendPerHour: 9n * PICO_PER_USD },
      { hosts: ['other.acme.example'] },
      { concurrency: 7 },
    ])
      await refused(more);
    await setPrice(0, (PICO_PER_USD * 11n) / 100n);
    const { details } = await refused();
    expect(planFromJson(details?.shown as never).hourlyPerReplica).toBe(PICO_PER_USD / 10n);
    expect(planFromJson(details?.plan as never).hourlyPerReplica).toBe((PICO_PER_USD * 11n) / 100n);
    await setPrice(0, PICO_PER_USD);
    await refused();
    await setPrice(0, PICO_PER_USD / 10n);
    ground.clock.advance(600_001);
    await refused();
    expect(await rows(db.database, `select 1 from deployment`)).toEqual([]);
  });
});

describe('Deployments: guards, quotas and rights', () => {
  test('a host that every team calls the router by is nobody’s: its own name, and any address', async () => {
    for (const host of ['router.example', '127.0.0.1', '10.0.0.0x1', 'a.b.1', 'localhost', 'UPPER.example']) {
      const refused = await plane.deploy(1, { hosts: [host] });
      expect([host, refused]).toMatchObject([host, { ok: false, error: { code: 'INVALID_INPUT', path: ['input', 'hosts'] } }]);
    }
    expect(await plane.deploy(1, { hosts: ['models.acme.example', '1.acme.example'] })).toMatchObject({ ok: true });
  });

  test('maxReplicas and maxSpendPerHour of the input, else of the project; both sides of a rollout count', async () => {
    expect(await plane.deploy(1, { replicas: 11 })).toMatchObject({
      ok: false,
      error: { code: 'INVALID_INPUT', path: ['input', 'replicas'] },
    });
    expect(await plane.deploy(1, { replicas: 2, maxSpendPerHour: PICO_PER_USD / 10n })).toMatchObject({
      ok: false,
      error: { code: 'LIMIT_EXCEEDED' },
    });
    await ready(1, { replicas: 3, maxReplicas: 5 });
    expect(await plane.deploy(2)).toMatchObject({ ok: false, error: { code: 'LIMIT_EXCEEDED', path: ['input', 'maxReplicas'] } });
    expect(await plane.deployments.scale(plane.caller, plane.ref, 6)).toMatchObject({
      ok: false,
      error: { code: 'LIMIT_EXCEEDED' },
    });
    expect(await plane.deploy(2, { maxReplicas: 6 })).toMatchObject({ ok: true });
  });

  test('quotas of team and project', async () => {
    const { teamId, clock, random } = ground;
    const quota = { teamId, projectId: null, resource: 'replicas' as const, maximum: 3n, version: 1 };
    await db.database.write(SCOPE, (tx) =>
      new IdentityRepository().saveQuota(tx, { id: newId(clock.now(), random), ...quota }, CAUSE),
    );
    expect(await plane.deploy(1, { replicas: 2 })).toMatchObject({ ok: true });
    expect(await plane.deploy(1, { name: 'second', replicas: 2 })).toMatchObject({
      ok: false,
      error: { code: 'QUOTA_EXCEEDED' },
    });
    expect(await plane.deploy(1, { name: 'second', replicas: 1 })).toMatchObject({ ok: true });
  });

  test('a project has a quota of its own, also of what it spends, and two at once do not both get the last of it', async () => {
    const { teamId, projectId, clock, random } = ground;
    const quota = { teamId, projectId, resource: 'spend_per_hour' as const, maximum: PICO_PER_USD / 5n, version: 1 };
    await db.database.write(SCOPE, (tx) =>
      new IdentityRepository().saveQuota(tx, { id: newId(clock.now(), random), ...quota }, CAUSE),
    );
    expect(await plane.deploy(1, { replicas: 3 })).toMatchObject({ ok: false, error: { code: 'QUOTA_EXCEEDED' } });
    expect(await plane.deploy(1, { replicas: 1 })).toMatchObject({ ok: true });
    const outcomes = await Promise.all(['second', 'third', 'fourth'].map((name) => plane.deploy(1, { name, replicas: 1 })));
    const told = outcomes.map((outcome) => (outcome.ok ? 'deployed' : outcome.error.code));
    expect(told.sort()).toEqual(['QUOTA_EXCEEDED', 'QUOTA_EXCEEDED', 'deployed']);
  });

  test('nothing fits: NO_CAPACITY says which reasons', async () => {
    const outcome = await plane.deploy(1, { resources: { cpuMilli: 64_000, memoryMib: 256, accelerator: null } });
    expect(outcome).toMatchObject({ ok: false, error: { code: 'NO_CAPACITY' } });
    if (!outcome.ok) expect(outcome.error.message).toContain('CPU_TOO_SMALL 2');
  });

  test('viewers and other teams: the project does not exist for them', async () => {
    for (const principal of [principalOf('viewer', ground.teamId), principalOf('team_admin', ground.projectId)]) {
      const outcome = await plane.deploys.deploy(
        { principal, idempotencyKey: null },
        { project: { teamName: 'acme', name: 'demo' }, name: 'digits', model: 'digits', version: { number: 1 } },
        { dryRun: false, planHash: null, expectedVersion: null },
      );
      expect(outcome).toMatchObject({ ok: false, error: { code: 'NOT_FOUND' } });
    }
  });

  test.each([
    ['process', 'PRECONDITION_FAILED'],
    ['container', 'NO_CONTAINER_RUNTIME'],
  ])('a %s version on this machine: %s', async (format, code) => {
    const runtime = { format, command: ['true'], image: 'x', port: 80, healthPath: '/', protocol: 'http', environment: {} };
    await db.database.write(SCOPE, (tx) =>
      sqlOf(tx).execute(`update model_version set format = $1, runtime = $2`, [format, JSON.stringify(runtime)]),
    );
    expect(await plane.deploy(1)).toMatchObject({ ok: false, error: { code } });
    expect(await rows(db.database, `select 1 from deployment`)).toEqual([]);
  });
});

describe('Deployments: commands of users', () => {
  test('the platform action alone is not enough: the installation must allow it too', async () => {
    const runtime = { format: 'process', command: ['true'], port: 80, healthPath: '/', protocol: 'http', environment: {} };
    await db.database.write(SCOPE, (tx) =>
      sqlOf(tx).execute(`update model_version set format = 'process', runtime = $1`, [JSON.stringify(runtime)]),
    );
    const principal = { ...principalOf('operator', ground.teamId), platformActions: ['runtime.process' as const] };
    const input = { project: { teamName: 'acme', name: 'demo' }, name: 'digits', model: 'digits', version: { number: 1 } };
    const how = { dryRun: false, planHash: null, expectedVersion: null };
    const refused = await plane.deploys.deploy({ principal, idempotencyKey: null }, input, how);
    expect(refused).toMatchObject({ ok: false, error: { code: 'UNSUPPORTED' } });
    const allowing = await makeControlPlane(ground, { holder: 'two', allowProcess: true });
    expect(await allowing.deploys.deploy({ principal, idempotencyKey: null }, input, how)).toMatchObject({ ok: true });
  });
});

describe('Deployments: concurrency', () => {
  test('two deploys at once with the same expectedVersion: one runs, one is a CONFLICT that names the version', async () => {
    const { generation } = await ready();
    const outcomes = await Promise.all([2, 3].map((number) => plane.deploy(number, {}, { expectedVersion: generation })));
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
    const [refused] = outcomes.filter((outcome) => !outcome.ok);
    expect(refused).toMatchObject({ error: { code: 'CONFLICT', message: 'The deployment is at version 2 now: read it again.' } });
  });

  test('two first deploys of one name at once with expectedVersion 0: one deployment', async () => {
    const outcomes = await Promise.all([1, 2].map((number) => plane.deploy(number, {}, { expectedVersion: 0 })));
    expect(outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error.code)).sort()).toEqual(['CONFLICT', 'ok']);
  });

  test('the same idempotency key a hundred times at once: one deployment, one revision, one decision, the same ids', async () => {
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => plane.deploy(1, {}, {}, 'once')));
    expect(new Set(outcomes.map((outcome) => canonicalJson(JSON.parse(JSON.stringify(outcome)) as Json))).size).toBe(1);
    for (const table of ['deployment', 'revision', 'rollout', 'workload', 'decision', 'deployment_history'])
      expect(await rows(db.database, `select 1 from ${table}`)).toHaveLength(1);
    expect(await rows(db.database, `select 1 from outbox where type = 'deployment.created'`)).toHaveLength(1);
  });
});

describe('Deployments: rollback, traffic, scale', () => {
  test('rollback rolls the revision before out again', async () => {
    await ready(1);
    await ready(2);
    await plane.until(() => ground.cluster.running()[0] === 'v2 serving ×1');
    expect(await plane.deployments.rollback(plane.caller, plane.ref, null)).toMatchObject({ ok: true });
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running().join() === 'v1 serving ×1');
    expect(await rows(db.database, `select number from revision order by number`)).toHaveLength(2);
    expect(await plane.deployments.rollback(plane.caller, plane.ref, 1)).toMatchObject({
      ok: false,
      error: { code: 'PRECONDITION_FAILED' },
    });
    expect(await plane.deployments.rollback(plane.caller, plane.ref, 9)).toMatchObject({
      ok: false,
      error: { code: 'INVALID_INPUT' },
    });
  });

  test('traffic between two revisions keeps both running, and one alone drains the other', async () => {
    await ready(1);
    await ready(2);
    await plane.until(() => ground.cluster.running().join() === 'v2 serving ×1');
    const half = [
      { revision: 1, weight: 50 },
      { revision: 2, weight: 50 },
    ];
    expect(await plane.deployments.setTraffic(plane.caller, plane.ref, half)).toMatchObject({ ok: true });
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running().join() === 'v1 serving ×1,v2 serving ×1');
    expect(await plane.deployments.setTraffic(plane.caller, plane.ref, [{ revision: 1, weight: 99 }])).toMatchObject({
      ok: false,
    });
    expect(await plane.deployments.setTraffic(plane.caller, plane.ref, [{ revision: 1, weight: 100 }])).toMatchObject({
      ok: true,
    });
    await plane.until(() => ground.cluster.running().join() === 'v1 serving ×1');
  });

  test('traffic to a revision without replicas: the present one is kept and serves until it is ready', async () => {
    await ready(1);
    await ready(2);
    await plane.until(() => ground.cluster.running().join() === 'v2 serving ×1');
    ground.cluster.behaviours.set('1', 'never');
    await plane.deployments.setTraffic(plane.caller, plane.ref, [{ revision: 1, weight: 100 }]);
    for (let n = 0; n < 10; n += 1) {
      ground.clock.advance(1_000);
      await plane.pass();
    }
    expect(ground.cluster.running()).toEqual(['v1 starting ×1', 'v2 serving ×1']);
    await plane.routes.refresh();
    expect(plane.routes.current()?.deployments[0]?.revisions.filter(({ weight }) => weight > 0)).toMatchObject([
      { number: 2, weight: 100 },
    ]);
    ground.cluster.behaviours.set('1', 'ready');
    await plane.until(() => ground.cluster.running().join() === 'v1 serving ×1');
  });

  test('scale up and down', async () => {
    await ready(1);
    await plane.deployments.scale(plane.caller, plane.ref, 3);
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running().join() === 'v1 serving ×3');
    await plane.deployments.scale(plane.caller, plane.ref, 1);
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running().join() === 'v1 serving ×1');
    const [event] = await rows<{ before: unknown; after: unknown }>(
      db.database,
      `select before, after from outbox where type = 'scaling.changed' order by seq`,
    );
    expect(event).toEqual({ before: { replicas: 1 }, after: { replicas: 3 } });
  });

  test('a deploy during a rollout supersedes it', async () => {
    await ready(1);
    await plane.deploy(2);
    await plane.pass();
    await plane.deploy(3);
    await plane.until(({ phase }) => phase === 'READY' && ground.cluster.running().join() === 'v3 serving ×1');
    const states = await rows<{ state: string }>(db.database, `select state from rollout order by started_at, id`);
    expect(states.map(({ state }) => state)).toEqual(['done', 'superseded', 'done']);
  });
});

/** Stops once before the number of a table is given. */
class HeldVersions extends RouteTableRepository {
  readonly read = Promise.withResolvers<undefined>();
  readonly goOn = Promise.withResolvers<undefined>();

  override async version(tx: Transaction): Promise<TableVersion> {
    const version = await super.version(tx);
    this.read.resolve(undefined);
    await this.goOn.promise;
    return version;
  }
}

describe('Deployments: the route table', () => {
  const table = async () => {
    await plane.routes.refresh();
    const current = plane.routes.current();
    if (!current) throw new Error('no table');
    return current;
  };

  test('has serving replicas with their price, weights that sum to 100, and deletions', async () => {
    await ready(1);
    const [route] = (await table()).deployments;
    expect(route).toMatchObject({
      path: 'acme/demo/digits',
      revisions: [{ number: 1, weight: 100, replicas: [{ ratePicoUsdPerHour: '100000000000' }] }],
    });
    await plane.deployments.delete(plane.caller, plane.ref);
    const after = await table();
    expect(after.deployments).toEqual([]);
    expect(after.deleted).toEqual([{ deploymentId: route?.deploymentId, at: ground.clock.now() }]);
  });

  test('its number rises with each change, is the same for two instances, and a restart never goes back', async () => {
    const first = await table();
    await ready(1);
    const second = await table();
    expect(second.version.n).toBeGreaterThan(first.version.n);
    expect((await table()).version).toEqual(second.version);
    const other = await makeControlPlane(ground, { holder: 'two' });
    await other.routes.refresh();
    expect(other.routes.current()?.version).toEqual(second.version);
  });

  test('an instance that was overtaken while it made a table makes it anew: no number has two, none an older world', async () => {
    const versions = new HeldVersions();
    const other = await makeControlPlane(ground, { holder: 'two', versions });
    await plane.deploy(1, { deadlineMs: 2_000 });
    const overtaken = other.routes.refresh();
    await versions.read.promise;
    await plane.deploy(1, { deadlineMs: 3_000 });
    const newest = await table();
    versions.goOn.resolve(undefined);
    await overtaken;
    expect(newest.deployments).toMatchObject([{ deadlineMs: 3_000 }]);
    expect(other.routes.current()).toEqual(newest);
  });

  test('a steady state reads and writes nothing but a look at the log', async () => {
    await ready(1);
    await table();
    const before = await rows(db.database, `select xmin::text, ctid::text from route_table_version`);
    for (let n = 0; n < 3; n += 1) await table();
    expect(await rows(db.database, `select xmin::text, ctid::text from route_table_version`)).toEqual(before);
  });
});
