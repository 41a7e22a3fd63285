// The local cluster on a real database: made once by whoever comes first, moved with its machine, cordoned by administrators only.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClusterUseRepository } from '../../src/deployments/cluster-use.repository.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import { FleetService } from '../../src/fleet/fleet.service.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { principalOf, seededRandom } from '../support/actors.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const admin = { principal: principalOf('platform_admin', null), idempotencyKey: null };
const clock = { now: () => 1_800_000_000_000 };
const random = seededRandom(3);
let db: TestDatabase;
const fleet = () =>
  new FleetService({
    commands: new Commands({ database: db.database, clock }),
    clock,
    random,
    store: new ClusterRepository(),
    use: new ClusterUseRepository(),
  });
const ensure = (machineId: string) => db.database.write(SYSTEM, (tx) => fleet().ensureLocalCluster(tx, { machineId }));

describe('Fleet: clusters and pools', () => {
  beforeAll(async () => {
    db = await openTestDatabase();
  });
  afterAll(() => db.close());

  test('ten instances that start at once make one cluster with one pool', async () => {
    const made = await Promise.all(Array.from({ length: 10 }, () => ensure('machine-1')));
    expect(new Set(made.map(({ cluster, pool }) => `${cluster.id} ${pool.id}`)).size).toBe(1);
    expect(made[0]?.pool).toMatchObject({ name: 'default', capacityType: 'on_demand', offeringId: null });
  });

  test('a data folder on another machine takes its cluster along', async () => {
    const { cluster } = await ensure('machine-2');
    expect(cluster).toMatchObject({ machineId: 'machine-2', version: 2 });
    expect((await ensure('machine-2')).cluster.version).toBe(2);
  });

  test('administrators cordon it; a stale version is a conflict; the same again changes nothing', async () => {
    const { cluster } = await ensure('machine-2');
    const cordon = (expectedVersion: number | null) =>
      fleet().cordon(admin, { clusterId: cluster.id, cordoned: true, expectedVersion });
    expect(await cordon(1)).toMatchObject({ ok: false, error: { code: 'CONFLICT' } });
    expect((await cordon(2)).ok).toBe(true);
    expect((await cordon(null)).ok).toBe(true);
    const types = await db.database.read(SYSTEM, (tx) =>
      sqlOf(tx).query<{ type: string }>(`select type from outbox order by seq`),
    );
    expect(types.map(({ type }) => type)).toEqual(['cluster.registered', 'cluster.moved', 'cluster.cordoned']);
  });

  test('nobody else sees clusters or tells a real one from none', async () => {
    const other = principalOf('team_admin', '00000000-0000-7000-8000-000000000001');
    const { cluster } = await ensure('machine-2');
    const page = await db.database.read(SYSTEM, (tx) => fleet().clusters(tx, other, { after: null, first: 10 }));
    expect(page.items).toEqual([]);
    const caller = { principal: other, idempotencyKey: null };
    const refused = await fleet().cordon(caller, { clusterId: cluster.id, cordoned: false, expectedVersion: null });
    expect(await fleet().cordon(caller, { clusterId: other.id, cordoned: false, expectedVersion: null })).toEqual(refused);
  });

  const pool = { name: 'default', capacityType: 'on_demand' as const, offeringId: null, nodeSelector: {} };
  const config = {
    access: { kind: 'kubeconfig' as const, file: '/etc/purser/east.kubeconfig', context: null },
    ...{ namespacePrefix: 'purser', systemNamespace: 'purser-system', modelServerImage: null },
    routerSources: { namespace: 'purser-system', cidrs: ['10.0.0.0/16'] },
  };
  const wish = { name: 'east', kind: 'kubernetes' as const, config, pools: [pool] };

  test('a cluster is registered by reference, once; removed, its name is free again', async () => {
    const made = await fleet().register(admin, wish);
    expect(made).toMatchObject({ ok: true });
    expect(await fleet().register(admin, wish)).toMatchObject({ ok: false, error: { code: 'ALREADY_EXISTS' } });
    const clusterId = made.ok ? made.value.clusterId : '';
    const row = await db.database.read(SYSTEM, (tx) => new ClusterRepository().cluster(tx, { id: clusterId }));
    expect(row).toMatchObject({ name: 'east', kind: 'kubernetes', config, version: 1, conditions: [], heldRemovals: null });
    expect(await fleet().remove(admin, { clusterId, expectedVersion: 7 })).toMatchObject({
      ok: false,
      error: { code: 'CONFLICT' },
    });
    expect(await fleet().remove(admin, { clusterId, expectedVersion: 1 })).toMatchObject({ ok: true });
    expect(await fleet().remove(admin, { clusterId, expectedVersion: null })).toMatchObject({
      ok: false,
      error: { code: 'NOT_FOUND' },
    });
    expect(await fleet().register(admin, wish)).toMatchObject({ ok: true });
  });

  test.each([
    ['a name that is none', { ...wish, name: 'East!' }, 'name'],
    ['no pool', { ...wish, pools: [] }, 'pools'],
    ['two pools of one name', { ...wish, pools: [pool, pool] }, 'pools'],
    [
      'a path that depends on where it is read',
      { ...wish, config: { ...config, access: { ...config.access, file: 'east' } } },
      'kubeconfig',
    ],
    ['an image that may change', { ...wish, config: { ...config, modelServerImage: 'model-server:latest' } }, 'modelServerImage'],
    ['a prefix that is too long', { ...wish, config: { ...config, namespacePrefix: 'p'.repeat(21) } }, 'namespacePrefix'],
    [
      'an address that is no block',
      { ...wish, config: { ...config, routerSources: { namespace: 'x', cidrs: ['here'] } } },
      'routerCidrs',
    ],
  ])('refused: %s', async (_what, wrong, field) => {
    expect(await fleet().register(admin, wrong)).toMatchObject({
      ok: false,
      error: { code: 'INVALID_INPUT', path: ['input', field] },
    });
  });

  test('one where something is wished or left is not removed; nobody but administrators registers any', async () => {
    const used = new FleetService({
      ...{ commands: new Commands({ database: db.database, clock }), clock, random, store: new ClusterRepository() },
      use: { workloads: () => Promise.resolve(2), workloadsOfPools: () => Promise.resolve(new Map()) },
    });
    const made = await used.register(admin, { ...wish, name: 'used' });
    const clusterId = made.ok ? made.value.clusterId : '';
    expect(await used.remove(admin, { clusterId, expectedVersion: null })).toMatchObject({
      ok: false,
      error: { code: 'PRECONDITION_FAILED', message: '2 workloads are still there or wished there.' },
    });
    const caller = { principal: principalOf('team_admin', '00000000-0000-7000-8000-000000000001'), idempotencyKey: null };
    expect(await used.register(caller, { ...wish, name: 'mine' })).toMatchObject({ ok: false, error: { code: 'NOT_FOUND' } });
  });
});
