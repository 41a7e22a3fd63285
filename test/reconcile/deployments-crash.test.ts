// The control plane dies at every transaction and every effect of a rollout in turn, before and after it; memory and connections are dropped,
// the object graph is made again on the same database, and the client repeats its request. The end must be the same every time.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../../src/persistence/database.ts';
import { Crash, Crasher, type CrashPoint } from '../support/crashing.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';

let db: TestDatabase;

beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

const MAX_LIVES = 5;

/** How a rollout to version 2 ends, by what its replicas do. */
const ENDS = {
  ready: (plane: ControlPlane, ground: Ground) =>
    plane.until(({ phase }) => phase === 'READY' && ground.cluster.running()[0] === 'v2 serving ×2'),
  failing: (plane: ControlPlane, ground: Ground) =>
    plane.until(
      ({ conditions }) =>
        conditions.some(({ reason }) => reason === 'RolloutRolledBack') && ground.cluster.running().join() === 'v1 serving ×2',
    ),
} as const;

type End = keyof typeof ENDS;

/** Deploys version 1, then rolls out version `2` with one crash on the way. False if the crash point was never reached. */
async function rollOut(ground: Ground, end: End, point: CrashPoint): Promise<boolean> {
  ground.cluster.behaviours.set('2', end);
  const before = await makeControlPlane(ground);
  await before.deploy(1, { replicas: 2 });
  await before.until(({ phase }) => phase === 'READY');
  const crasher = new Crasher(point);
  for (let life = 1; life <= MAX_LIVES; life += 1) {
    const database = await Database.connect({ url: db.appUrl, maxConnections: 3 });
    try {
      const crashing =
        life === 1 ? { database: crasher.database(database), cluster: crasher.cluster(ground.cluster) } : { database };
      await act(await makeControlPlane(ground, { ...crashing, holder: `life ${life}` }), ground, end);
      return crasher.fired;
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    } finally {
      await database.close();
    }
  }
  throw new Error('it died too often');
}

async function act(plane: ControlPlane, ground: Ground, end: End): Promise<void> {
  expect(await plane.deploy(2, {}, {}, `roll out ${ground.teamName}`)).toMatchObject({ ok: true });
  await ENDS[end](plane, ground);
  await plane.pass();
}

/** Everything but ids and times. */
const endState = async ({ teamId, cluster }: Ground) => ({
  running: cluster.running(),
  effects: cluster.effects,
  deployments: await rows(
    db.database,
    `select name, generation, phase, observed_generation, spec->'traffic' as traffic from deployment where team_id = $1`,
    [teamId],
  ),
  revisions: await rows(db.database, `select number from revision where team_id = $1 order by number`, [teamId]),
  rollouts: await rows(db.database, `select state, step, ended_at is null as open from rollout where team_id = $1 order by id`, [
    teamId,
  ]),
  workloads: await rows(db.database, `select replicas, gone_at is null as here from workload where team_id = $1 order by id`, [
    teamId,
  ]),
  replicas: await rows(
    db.database,
    `select state, capacity_until is null as held, until_estimated from replica where team_id = $1 order by 2, 1`,
    [teamId],
  ),
  transitions: await rows(
    db.database,
    `select t.n, t.state, t.estimated, count(*)::integer as count from replica_transition t where team_id = $1 group by 1, 2, 3 order by 1, 2`,
    [teamId],
  ),
  decisions: await rows(db.database, `select kind, count(*)::integer as count from decision where team_id = $1 group by kind`, [
    teamId,
  ]),
  history: await rows(db.database, `select h.generation from deployment_history h where team_id = $1 order by 1`, [teamId]),
  events: await rows(
    db.database,
    `select type, count(*)::integer as count from outbox where team_id = $1 group by type order by type`,
    [teamId],
  ),
});

describe.each([
  ['a rollout', 'ready'],
  ['a rollout that is rolled back by itself', 'failing'],
] as const)('Deployments: the control plane crashes at every step of %s', (_what, end) => {
  test.each(['before', 'after'] as const)(
    '%s each transaction and effect: the same end state',
    { timeout: 300_000 },
    async (when) => {
      const calm = await makeGround(db.database, `calm-${end}-${when}`);
      expect(await rollOut(calm, end, { call: 1_000_000, when })).toBe(false);
      const wanted = await endState(calm);
      let call = 1;
      for (; ; call += 1) {
        const ground = await makeGround(db.database, `crash-${end}-${when}-${call}`);
        const fired = await rollOut(ground, end, { call, when });
        expect({ call, ...(await endState(ground)) }).toEqual({ call, ...wanted });
        if (!fired) break;
      }
      expect(call).toBeGreaterThan(20);
    },
  );
});
