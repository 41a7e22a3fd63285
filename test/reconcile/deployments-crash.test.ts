// The control plane dies at every transaction and every effect of a rollout in turn, before and after it; memory and connections are dropped,
// the object graph is made again on the same database, and the client repeats its request. The end must be the same every time.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterPort } from '../../src/deployments/cluster.port.ts';
import { Database } from '../../src/persistence/database.ts';
import { Crash, Crasher, type CrashPoint } from '../support/crashing.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addCluster, makeControlPlane, makeGround, rows, type ControlPlane, type Ground } from '../support/deployments-world.ts';
import type { SimulatedCluster } from '../support/simulated-cluster.ts';
import { on } from '../support/spanning-world.ts';

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
  for (const cluster of clustersOf(ground)) cluster.behaviours.set('2', end);
  const before = await makeControlPlane(ground);
  await before.deploy(1, { replicas: 2 });
  await before.until(({ phase }) => phase === 'READY');
  return live(ground, point, (plane) => act(plane, ground, end));
}

/** Lives of a control plane until one ends well; the first one dies at the point, if it gets there. */
async function live(ground: Ground, point: CrashPoint, act: (plane: ControlPlane) => Promise<void>): Promise<boolean> {
  const crasher = new Crasher(point);
  for (let life = 1; life <= MAX_LIVES; life += 1) {
    const database = await Database.connect({ url: db.appUrl, maxConnections: 3 });
    try {
      const crashing =
        life === 1 ? { database: crasher.database(database), through: (one: ClusterPort) => crasher.cluster(one) } : { database };
      await act(await makeControlPlane(ground, { ...crashing, holder: `life ${life}` }));
      return crasher.fired;
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    } finally {
      await database.close();
    }
  }
  throw new Error('it died too often');
}

const clustersOf = ({ cluster, others }: Ground): SimulatedCluster[] => [
  cluster,
  ...[...others.values()].map((other) => other.cluster),
];

async function act(plane: ControlPlane, ground: Ground, end: End): Promise<void> {
  expect(await plane.deploy(2, {}, {}, `roll out ${ground.teamName}`)).toMatchObject({ ok: true });
  await ENDS[end](plane, ground);
  await plane.pass();
}

/** Everything but ids and times. */
const endState = async ({ teamId, cluster, others }: Ground) => ({
  running: cluster.running(),
  effects: cluster.effects,
  others: [...others.values()].map((other) => ({ running: other.cluster.running(), effects: other.cluster.effects })),
  deployments: await rows(
    db.database,
    `select name, generation, phase, observed_generation, spec->'traffic' as traffic from deployment where team_id = $1`,
    [teamId],
  ),
  revisions: await rows(db.database, `select number from revision where team_id = $1 order by number`, [teamId]),
  rollouts: await rows(db.database, `select state, step, ended_at is null as open from rollout where team_id = $1 order by id`, [
    teamId,
  ]),
  workloads: await rows(db.database, `select replicas, gone_at is null as here from workload where team_id = $1 order by 2, 1`, [
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

/** Two clusters with a deployment of two and one replicas on them. */
async function makeSpan(name: string): Promise<Ground> {
  const ground = await makeGround(db.database, name);
  await addCluster(ground, `${name}-west`);
  const plane = await makeControlPlane(ground);
  await plane.deploy(1, { replicas: 3, ...on([name, 2], [`${name}-west`, 1]) });
  await plane.until(({ phase }) => phase === 'READY');
  return ground;
}

const runs = (ground: Ground): string =>
  clustersOf(ground)
    .map((cluster) => cluster.running().join('+'))
    .join(', ');

const SPANNING = {
  /** A rollout over both. */
  'a rollout over two clusters': async (plane: ControlPlane, ground: Ground) => {
    expect(await plane.deploy(2, {}, {}, `roll out ${ground.teamName}`)).toMatchObject({ ok: true });
    await plane.until(({ phase }) => phase === 'READY' && runs(ground) === 'v2 serving ×2, v2 serving ×1');
  },
  /** Both have lost everything: it is made again, once. */
  'a rebuild of two clusters that were wiped': async (plane: ControlPlane, ground: Ground) => {
    await plane.until(({ phase }) => phase === 'READY' && runs(ground) === 'v1 serving ×2, v1 serving ×1');
  },
} as const;

/** How often it was degraded on the way depends on what was seen of which cluster first; all else must be the same. */
const settled = ({ events, ...end }: Awaited<ReturnType<typeof endState>>) => ({
  ...end,
  events: (events as { readonly type: string }[]).filter(({ type }) => type !== 'deployment.phase_changed'),
});

// Dying before a call leaves what dying after the one before it leaves: each point is tried once.
describe.each(Object.entries(SPANNING))('Several clusters: the control plane crashes at every step of %s', (what, act) => {
  test('after each transaction and effect: the same end state', { timeout: 600_000 }, async () => {
    const run = async (name: string, call: number) => {
      const ground = await makeSpan(name);
      if (what.includes('wiped')) for (const cluster of clustersOf(ground)) cluster.wipe();
      const fired = await live(ground, { call, when: 'after' }, async (plane) => {
        await act(plane, ground);
        for (let n = 0; n < 3; n += 1) await plane.pass();
      });
      const known = clustersOf(ground).flatMap((cluster) => cluster.known());
      return { fired, end: { ...settled(await endState(ground)), known: known.length } };
    };
    const prefix = what.includes('wiped') ? 'wiped' : 'rolled';
    const calm = await run(`${prefix}-calm`, 1_000_000);
    expect(calm.fired).toBe(false);
    let call = 1;
    for (; ; call += 1) {
      const { fired, end } = await run(`${prefix}-${call}`, call);
      expect({ call, ...end }).toEqual({ call, ...calm.end });
      if (!fired) break;
    }
    expect(call).toBeGreaterThan(10);
  });
});
