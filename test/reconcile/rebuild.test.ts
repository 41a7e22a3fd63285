// Clusters that lose what they were told, and clusters that know more than the database: real services and a real database, clusters in memory
// that are wiped, meddled with and given workloads that nobody wished for.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RebuildService } from '../../src/deployments/rebuild.service.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { QuotasService } from '../../src/identity/quotas.service.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { addCluster, fleetOf, makeControlPlane, makeGround, PACE, rows } from '../support/deployments-world.ts';
import type { SimulatedCluster } from '../support/simulated-cluster.ts';
import { on, openSpanningWorld, type SpanningWorld } from '../support/spanning-world.ts';

let world: SpanningWorld;

beforeEach(async () => {
  world = await openSpanningWorld();
});
afterEach(() => world.db.close());

describe('Rebuild: a cluster comes back from the database alone', () => {
  const rebuilds = () =>
    new RebuildService({
      ...{
        commands: new Commands({ database: world.db.database, clock: world.ground.clock }),
        store: world.plane.store,
        clock: world.ground.clock,
      },
      clusters: new ClusterRepository(),
      quotas: new QuotasService(new IdentityRepository()),
      clusterOf: (id) => [...world.ground.others.values()].find((other) => other.id === id)?.cluster ?? null,
      onChange: () => undefined,
    });
  const rebuild = async (dryRun: boolean) =>
    rebuilds().rebuild(world.plane.caller, { clusterId: world.ground.others.get('east')!.id, dryRun, expectedVersion: null });

  beforeEach(async () => {
    await world.plane.deploy(1, { replicas: 2, ...on(['east', 1]) });
    await world.readyOn(1, [world.east, 2]);
  });

  test('everything deleted there is made again under its ids, once', async () => {
    const ids = await world.workloadIds();
    const applied = world.east.effects.length;
    world.east.wipe();
    await world.readyOn(1, [world.east, 2]);
    expect(world.east.known()).toEqual(ids);
    expect(await world.workloadIds()).toEqual(ids);
    expect(world.east.effects.length).toBe(applied + 1);
    expect((await world.plane.look()).spec.traffic).toEqual([{ revision: 1, weight: 100 }]);
    const ended = await rows(world.db.database, `select 1 from replica where capacity_until is not null`);
    expect(ended).toHaveLength(2);
  });

  test('a deletion under way is not taken for done by others that were wiped', async () => {
    await world.plane.deploy(2, { ...on(['east', 1]), name: 'second', replicas: 2 });
    await world.passes(6);
    await world.plane.deployments.delete(world.plane.caller, world.plane.ref);
    await world.passes(1);
    world.east.wipe();
    await world.passes(6);
    expect(world.east.running()).toEqual(['v2 serving ×2']);
    await expect(world.plane.look()).rejects.toThrow('no such deployment');
  });

  const ended = async () => {
    const { phase, conditions, spec } = await world.plane.look();
    const progress = conditions.find(({ type }) => type === 'Progressing')?.reason ?? '';
    const decisions = await rows<{ kind: string }>(world.db.database, `select distinct kind from decision order by kind`);
    return [phase, progress, spec.traffic, decisions.map(({ kind }) => kind)];
  };
  const atTheNewOne = ['READY', 'RolloutDone', [{ revision: 2, weight: 100 }], ['deploy']];
  const stateOfRollout = async () =>
    (await rows<{ state: string }>(world.db.database, `select state from rollout order by started_at desc limit 1`))[0]?.state;
  const rolledInto = async (state: string) => {
    for (let n = 0; n < 40 && (await stateOfRollout()) !== state; n += 1) await world.passes(1);
    expect(await stateOfRollout()).toBe(state);
  };

  test.each([
    ['starting', 'everything is deleted', false],
    ['shifting', 'everything is deleted', false],
    ['draining', 'everything is deleted', false],
    ['shifting', 'all but a part is deleted', true],
  ])('a rollout that is %s when %s goes on to its end', async (state, _what, leavingParts) => {
    expect(await world.plane.deploy(2, { replicas: 2, ...on(['east', 1]) })).toMatchObject({ ok: true });
    if (state === 'starting') world.east.behaviours.set('2', 'never');
    await rolledInto(state);
    await world.passes(1);
    if (state === 'starting') world.ground.clock.advance(PACE.progressDeadlineMs * 0.45);
    world.east.wipe({ leavingParts });
    await world.passes(1);
    if (state === 'starting') world.ground.clock.advance(PACE.progressDeadlineMs * 0.6);
    world.east.behaviours.clear();
    await world.passes(20);
    expect(world.east.running()).toEqual(['v2 serving ×2']);
    expect(await ended()).toEqual(atTheNewOne);
  });

  test('a rollout waits for a place that is still being deleted, says so, and goes on', async () => {
    expect(await world.plane.deploy(2, { replicas: 2, ...on(['east', 1]) })).toMatchObject({ ok: true });
    await rolledInto('shifting');
    world.east.wipe();
    world.east.behaviours.set('2', 'waiting');
    await world.passes(4, PACE.progressDeadlineMs);
    expect((await world.plane.look()).conditions.find(({ type }) => type === 'Ready')).toMatchObject({
      reason: 'ReplicasWaiting',
      message: expect.stringContaining('NAMESPACE_ENDING: Not just now.') as string,
    });
    world.east.behaviours.clear();
    await world.passes(20);
    expect(world.east.running()).toEqual(['v2 serving ×2']);
    expect(await ended()).toEqual(atTheNewOne);
  });

  test('meddling is put back', async () => {
    world.east.tellsSpecs = true;
    await world.passes(2);
    const applied = world.east.effects.length;
    world.east.meddle((spec) => ({ ...spec, replicas: 7 }));
    await world.passes(3);
    expect(world.east.effects.slice(applied)).toEqual(['apply v1 ×2']);
    await world.passes(3);
    expect(world.east.effects).toHaveLength(applied + 1);
  });

  test('a dry run says what is missing and asks for nothing', async () => {
    expect(await rebuild(true)).toMatchObject({ ok: true, value: { actions: [{ kind: 'KEEP' }] } });
    world.east.wipe();
    const [stranger] = world.east.plant(1);
    expect(await rebuild(true)).toMatchObject({
      ok: true,
      value: {
        actions: [
          { kind: 'MAKE', message: 'Make acme/demo/digits revision 1 on pool default with 2 replicas.' },
          { kind: 'REMOVE', message: `Remove workload ${stranger ?? ''}: nobody wishes it.` },
        ],
      },
    });
    expect(await world.row('east')).toMatchObject({ rebuilds: 0, rebuilt: 0 });
    world.east.reachable = false;
    expect(await rebuild(true)).toMatchObject({ ok: false, error: { code: 'PRECONDITION_FAILED' } });
  });

  test('a dry run tells by digest what is not as told, and what would be left until somebody approves', async () => {
    const kinds = async () => {
      const outcome = await rebuild(true);
      return outcome.ok ? (outcome.value.actions as { kind: string; message: string }[]) : [];
    };
    const name = 'acme/demo/digits revision 1 on pool default with 2 replicas';
    world.east.tellsSpecs = true;
    expect(await kinds()).toEqual([{ kind: 'KEEP', message: `Tell it ${name} again.` }]);
    world.east.meddle((spec) => ({ ...spec, replicas: 7 }));
    expect(await kinds()).toEqual([{ kind: 'UPDATE', message: `Put back ${name}: what is there is not as told.` }]);
    world.east.meddle((spec) => ({ ...spec, replicas: 2, generation: spec.generation + 1 }));
    expect((await kinds()).map(({ kind }) => kind)).toEqual(['HOLD']);
    world.east.wipe();
    world.east.tellsSpecs = false;
    world.east.plant(4);
    expect((await kinds()).map(({ kind }) => kind)).toEqual(['MAKE', 'HOLD', 'HOLD', 'HOLD', 'HOLD']);
    expect(await world.row('east')).toMatchObject({ rebuilds: 0, heldRemovals: null });
  });

  test('a run tells it everything again, also what it meddled with in silence, and says so once', async () => {
    world.east.meddle((spec) => ({ ...spec, replicas: 0 }));
    await world.passes(3);
    const applied = world.east.effects.length;
    expect(await rebuild(false)).toMatchObject({ ok: true, value: { actions: [{ kind: 'KEEP' }] } });
    expect(await world.row('east')).toMatchObject({ rebuilds: 1, rebuilt: 0 });
    await world.passes(3);
    expect(world.east.effects.slice(applied)).toEqual(['apply v1 ×2']);
    expect(await world.row('east')).toMatchObject({ rebuilds: 1, rebuilt: 1 });
    expect(await world.clusterEvents()).toEqual(['cluster.rebuild_started east']);
  });
});

describe('Rebuild: the mass-delete brake, for what a cluster runs and the database does not know', () => {
  const approve = async (name: string, digest: string) =>
    fleetOf(world.ground).approveRemovals(world.plane.caller, {
      clusterId: (await world.row(name)).id,
      digest,
      expectedVersion: null,
    });
  const held = async (name: string) => (await world.row(name)).conditions.find(({ type }) => type === 'RemovalsHeld');

  beforeEach(async () => {
    await world.plane.deploy(1, on(['east', 1]));
    await world.readyOn(1, [world.east, 1]);
  });

  test('a few are removed', async () => {
    world.east.plant(3);
    await world.passes(3);
    expect(world.east.known()).toEqual(await world.workloadIds());
    expect(await held('east')).toBeUndefined();
  });

  test('more than three wait for a person, who lets go exactly what was shown', async () => {
    const strangers = world.east.plant(4);
    await world.passes(3);
    expect(world.east.known()).toHaveLength(5);
    expect(await held('east')).toMatchObject({ status: 'True', reason: 'TooManyUnknown' });
    expect(await world.clusterEvents()).toEqual(['cluster.removals_held east']);
    const { heldRemovals } = await world.row('east');
    expect(heldRemovals?.workloadIds).toEqual([...strangers].sort());
    expect(await approve('east', 'sha256:other')).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
    const before = await world.fingerprint();
    await world.passes(5, 10_000);
    expect(await world.fingerprint()).toBe(before);

    expect(await approve('east', heldRemovals?.digest ?? '')).toMatchObject({ ok: true });
    world.east.plant(1);
    await world.passes(4);
    expect(world.east.known()).toEqual(await world.workloadIds());
    expect(await held('east')).toMatchObject({ status: 'False' });
    expect(await world.row('east')).toMatchObject({ heldRemovals: null, approvedRemovals: null });
    expect(await world.clusterEvents()).toEqual(['cluster.removals_held east', 'cluster.removals_approved east']);
    expect(world.east.running()).toEqual(['v1 serving ×1']);
  });

  test('an approval is of that set: what comes after it is held anew', async () => {
    world.east.plant(4);
    await world.passes(2);
    expect(await approve('east', (await world.row('east')).heldRemovals?.digest ?? '')).toMatchObject({ ok: true });
    const later = world.east.plant(5);
    await world.passes(4);
    expect((await world.row('east')).heldRemovals?.workloadIds).toEqual([...later].sort());
    expect(world.east.known()).toHaveLength(6);
  });

  test('an empty database beside a live fleet deletes nothing', async () => {
    world.east.plant(8);
    const other = await makeGround(world.db.database, 'globex');
    other.others.set('north', { id: (await addCluster(other, 'north'), other.others.get('north')!.id), cluster: world.east });
    const empty = await makeControlPlane(other);
    const known = world.east.known();
    for (let n = 0; n < 5; n += 1) await empty.pass();
    expect(world.east.known()).toEqual(known);
    expect(await held('north')).toMatchObject({ status: 'True', reason: 'TooManyUnknown' });
  });

  test('an old database changes and removes nothing of what is newer, until somebody says so', async () => {
    world.east.meddle((spec) => ({ ...spec, generation: spec.generation + 5 }));
    const [stranger] = world.east.plant(1);
    await world.passes(4);
    expect(await held('east')).toMatchObject({ status: 'True', reason: 'DatabaseBehind' });
    expect(world.east.known()).toContain(stranger);
    await world.plane.deployments.scale(world.plane.caller, world.plane.ref, 2);
    await world.passes(4);
    expect(world.east.running()).toContain('v1 serving ×1');
    expect(await approve('east', (await world.row('east')).heldRemovals?.digest ?? '')).toMatchObject({ ok: true });
    await world.readyOn(1, [world.east, 2]);
    expect(world.east.known()).toEqual(await world.workloadIds());
    await world.passes(3);
    expect(await held('east')).toMatchObject({ status: 'False' });
  });

  test('a cluster that obeys a newer leader of another database is left alone, and its row says so', async () => {
    await world.east.apply(
      { ...(await specOf(world.east)), workloadId: 'ffffffff-0000-7000-8000-000000000000' },
      { epoch: Number.MAX_SAFE_INTEGER },
    );
    const effects = [...world.east.effects];
    for (let n = 0; n < 4; n += 1) await world.passes(1).catch(() => undefined);
    expect(world.east.effects).toEqual(effects);
    expect(await held('east')).toMatchObject({ status: 'True', reason: 'LedByAnother' });
  });
});

/** A workload spec as the cluster was told. */
async function specOf(cluster: SimulatedCluster) {
  let found: Parameters<SimulatedCluster['apply']>[0] | null = null;
  cluster.meddle((spec) => (found = spec));
  return Promise.resolve(found!);
}
