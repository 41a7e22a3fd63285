// The adapter against a strict double of Compute Engine and GKE: the suite of all providers once per kind of pool, and what only Google does.
import { afterEach, describe, expect, test } from 'vitest';
import { CloudUnknown, type CloudPool } from '../../src/clouds/cloud-provider.port.ts';
import { GcpMachines } from '../../src/clouds/gcp/gcp-machines.adapter.ts';
import { GcpSettings } from '../../src/clouds/gcp/gcp-settings.adapter.ts';
import { seededRandom } from '../support/actors.ts';
import { machineProviderSuite, type MachinesSubject } from '../support/cloud-provider-suite.ts';
import { GcpDouble, PROJECT, TOKEN } from '../support/gcp-double.ts';

const common = {
  region: 'gcp/us-central1',
  instanceType: 'n2-standard-4',
  capacityType: 'spot',
  labels: { tier: 'burst' },
} as const;
const nodePool: CloudPool = {
  ...common,
  key: 'here/east/nodes',
  zone: 'us-central1-a',
  config: { cluster: 'east', diskGib: '64' },
};
const zonal: CloudPool = {
  ...{ ...common, key: 'here/east/machines', zone: 'us-central1-a' },
  config: { image: 'projects/debian-cloud/global/images/family/debian-12', userData: 'join {labels}', diskGib: '50' },
};
const regional: CloudPool = { ...zonal, key: 'here/east/anywhere', zone: null };

const settings = ({ http: { url } }: GcpDouble) =>
  GcpSettings.parse({
    ...{ projectId: PROJECT, deadlineMs: 200 },
    clusters: ['east', 'not-made'].map((name) => ({ name, location: 'us-central1' })),
    endpoints: { compute: `${url}/compute`, container: `${url}/container` },
  });

const started: GcpDouble[] = [];
afterEach(() => {
  for (const double of started.splice(0)) double.http.stop();
});

/** Somebody with the same configuration, who remembers nothing. */
function another(double: GcpDouble): GcpMachines {
  const pause = (ms: number): Promise<void> => {
    double.pass(ms);
    return Promise.resolve();
  };
  return new GcpMachines({
    ...{ name: 'gcp', settings: settings(double), clock: { now: () => double.now }, random: seededRandom(6) },
    ...{ token: () => Promise.resolve(TOKEN), pause },
  });
}

async function opened() {
  const double = new GcpDouble();
  started.push(double);
  await double.http.start();
  return { double, provider: another(double) };
}

async function subject(pool: CloudPool): Promise<MachinesSubject> {
  const { double, provider } = await opened();
  return {
    ...{ provider, pool, pass: () => double.pass() },
    stock: (machines) => void (double.stock = machines),
    quota: (machines) => void (double.quota = machines),
    lose: (what) => double.http.lose(what),
    trouble: (how) => double.http.trouble(how),
    interrupt: (instanceId) => double.preempt(instanceId),
  };
}

const ALL = ['stock', 'quota', 'lose', 'trouble', 'interrupt', 'epochs'] as const;
machineProviderSuite('GKE node pools', ALL, () => subject(nodePool));
machineProviderSuite('Google instance groups of a zone', ALL, () => subject(zonal));
machineProviderSuite('Google instance groups of a region', ALL, () => subject(regional));

const FENCE = { epoch: 7 };
const ACCEPTED = { outcome: 'accepted' };

describe('Cloud port: machines of Google Cloud', () => {
  const withPool = async (pool: CloudPool) => {
    const { double, provider } = await opened();
    expect(await provider.ensurePool(pool, FENCE)).toEqual(ACCEPTED);
    const scale = (desired: number, release: readonly string[] = []) => provider.scalePool(pool.key, { desired, release }, FENCE);
    const observe = async () => {
      double.pass();
      return (await provider.observeNodes(pool.key))!;
    };
    const body = (path: RegExp) => [...double.written].find(([one]) => path.test(one))?.[1];
    return { double, provider, scale, observe, body };
  };

  test('spot machines of a group end by deletion, and the group makes none anew under an old name', async () => {
    const { body } = await withPool(zonal);
    expect(body(/instanceTemplates$/)).toMatchObject({
      properties: {
        machineType: 'n2-standard-4',
        scheduling: { provisioningModel: 'SPOT', instanceTerminationAction: 'DELETE', automaticRestart: false },
        metadata: { items: [{ key: 'startup-script', value: 'join tier=burst' }] },
      },
    });
    expect(body(/instanceGroupManagers$/)).toMatchObject({
      targetSize: 0,
      updatePolicy: { type: 'OPPORTUNISTIC' },
      instanceLifecyclePolicy: { defaultActionOnFailure: 'DO_NOTHING' },
    });
  });

  test('accelerators that are attached are asked for beside the machine type; others of them are another pool', async () => {
    const instanceType = 'n1-standard-4_nvidia-tesla-t4x2';
    const groups = await withPool({ ...zonal, instanceType, capacityType: 'on_demand' });
    expect(groups.body(/instanceTemplates$/)).toMatchObject({
      properties: {
        machineType: 'n1-standard-4',
        guestAccelerators: [{ acceleratorType: 'nvidia-tesla-t4', acceleratorCount: 2 }],
        scheduling: { onHostMaintenance: 'TERMINATE' },
        metadata: { items: [{ key: 'startup-script', value: `join purser.dev/instance-type=${instanceType},tier=burst` }] },
      },
    });
    const nodes = await withPool({ ...nodePool, instanceType });
    expect(nodes.body(/nodePools$/)).toMatchObject({
      nodePool: {
        config: {
          labels: { 'purser.dev/instance-type': instanceType },
          machineType: 'n1-standard-4',
          accelerators: [{ acceleratorType: 'nvidia-tesla-t4', acceleratorCount: '2' }],
        },
      },
    });
    expect(await nodes.provider.ensurePool({ ...nodePool, instanceType, labels: {} }, FENCE)).toEqual(ACCEPTED);
    const other = { ...nodePool, instanceType: 'n1-standard-4_nvidia-tesla-t4x1' };
    expect(await nodes.provider.ensurePool(other, FENCE)).toMatchObject({ outcome: 'refused', reason: 'INVALID' });
  });

  test('a node pool scales by nobody else', async () => {
    const { body } = await withPool(nodePool);
    expect(body(/nodePools$/)).toMatchObject({
      nodePool: {
        ...{ initialNodeCount: 0, autoscaling: { enabled: false }, locations: ['us-central1-a'] },
        config: { spot: true, diskSizeGb: 64, labels: { tier: 'burst' }, resourceLabels: { 'purser-epoch': '7' } },
      },
    });
  });

  test('machines are named by number, so that a repeat asks for the same ones and a new wish for others', async () => {
    const { double, scale, observe } = await withPool(zonal);
    await scale(2);
    const [first = '', second = ''] = (await observe()).nodes.map(({ instanceId }) => instanceId);
    expect([first, second].map((name) => name.slice(-4))).toEqual(['0001', '0002']);
    double.preempt(second);
    await observe();
    expect(await scale(2)).toEqual(ACCEPTED);
    const running = (await observe()).nodes.filter(({ phase }) => phase === 'running').map(({ instanceId }) => instanceId);
    expect(running.map((name) => name.slice(-4))).toEqual(['0001', '0003']);
  });

  test.each([nodePool, zonal])(
    'a pool that changed after it was looked at is not described by an old look: $key',
    async (pool) => {
      const { double, provider } = await withPool(pool);
      double.touches = true;
      const described = provider.ensurePool({ ...pool, labels: { tier: 'other' } }, FENCE);
      await expect(described).rejects.toThrow(/does not match/);
      double.touches = false;
      expect(await provider.ensurePool({ ...pool, labels: { tier: 'other' } }, FENCE)).toEqual(ACCEPTED);
    },
  );

  test('a wish whose change is still going on is not said twice: somebody else waits for it', async () => {
    const { double, scale } = await withPool(zonal);
    double.http.lose('answer');
    await expect(scale(1)).rejects.toThrow(/PATCH/);
    const other = another(double);
    expect(await other.scalePool(zonal.key, { desired: 1, release: [] }, FENCE)).toEqual(ACCEPTED);
    double.pass();
    expect((await other.observeNodes(zonal.key))?.nodes).toHaveLength(1);
  });

  test('what no zone has room for is given up, so that nobody is surprised by it an hour later', async () => {
    const { double, scale, observe } = await withPool(regional);
    double.stock = 1;
    expect(await scale(2)).toEqual(ACCEPTED);
    expect(await scale(2)).toMatchObject({ outcome: 'refused', reason: 'STOCK_OUT', retryAfterMs: 120_000 });
    double.stock = 100;
    expect(await observe()).toMatchObject({ desired: 1 });
  });

  test('machines that were asked for and do not show yet are not asked for again, whoever repeats the wish', async () => {
    const { double, scale } = await withPool(zonal);
    double.http.lose('answer', 1);
    double.lagMs = 60_000;
    await expect(scale(2)).rejects.toThrow(/createInstances/);
    const other = another(double);
    expect(await other.scalePool(zonal.key, { desired: 2, release: [] }, FENCE)).toEqual(ACCEPTED);
    expect(await other.observeNodes(zonal.key)).toEqual({ desired: 2, nodes: [] });
    double.pass();
    expect((await other.observeNodes(zonal.key))?.nodes).toHaveLength(2);
  });

  test.each([nodePool, zonal])('a machine that there is no room for is given up at once: $key', async (pool) => {
    const { double, scale, observe } = await withPool(pool);
    double.stock = 0;
    expect(await scale(1)).toMatchObject({ outcome: 'refused', reason: 'STOCK_OUT' });
    double.stock = 100;
    await observe();
    const state = await observe();
    expect(state.desired).toBe(0);
    expect(state.nodes.filter(({ phase }) => phase !== 'gone')).toEqual([]);
  });

  test('the preemption of a machine of somebody else is none of ours', async () => {
    const { double, provider } = await withPool(zonal);
    double.addStranger('theirs-1');
    double.preempt('theirs-1');
    expect(await provider.interruptions()).toEqual([]);
  });

  test.each([nodePool, zonal])('a group of the right name that others made is left alone, in words: $key', async (pool) => {
    const { double, scale, observe } = await withPool(pool);
    await scale(1);
    await observe();
    double.disown();
    const other = another(double);
    const taken = { outcome: 'refused', reason: 'INVALID', message: expect.stringContaining('left alone') as string };
    double.written.clear();
    expect(await other.ensurePool(pool, FENCE)).toMatchObject(taken);
    expect(await other.scalePool(pool.key, { desired: 3, release: [] }, FENCE)).toMatchObject(taken);
    expect(await other.deletePool(pool.key, FENCE)).toMatchObject(taken);
    await expect(other.observeNodes(pool.key)).rejects.toThrow(CloudUnknown);
    expect([...double.written.keys()].filter((path) => !path.endsWith('listManagedInstances'))).toEqual([]);
  });

  test.each([nodePool, zonal])('whose leader cannot be read lets nobody in: $key', async (pool) => {
    const { double, provider } = await withPool(pool);
    double.mark('purser-epoch', 'seven');
    const closed = { outcome: 'refused', reason: 'INVALID', message: expect.stringContaining('"seven"') as string };
    expect(await provider.scalePool(pool.key, { desired: 1, release: [] }, { epoch: 99 })).toMatchObject(closed);
    expect(await provider.deletePool(pool.key, { epoch: 99 })).toMatchObject(closed);
  });

  test('everything of a pool says whose it is; a cluster that left the settings is out of reach', async () => {
    const { provider, body } = await withPool(nodePool);
    expect(body(/nodePools$/)).toMatchObject({ nodePool: { config: { resourceLabels: { 'purser-installation': 'here' } } } });
    expect(provider.outOfReach({ ...nodePool, config: { cluster: 'west' } })).toContain('no cluster west');
    const groups = await withPool(zonal);
    expect(groups.body(/instanceTemplates$/)).toMatchObject({ properties: { labels: { 'purser-installation': 'here' } } });
  });

  test('a part of the project that cannot be asked leaves unknown whether there is a pool', async () => {
    const { double } = await withPool(zonal);
    double.unreachable = true;
    await expect(another(double).observeNodes(zonal.key)).rejects.toThrow(/UNREACHABLE/);
  });

  test.each<[string, CloudPool]>([
    ['names no cluster nowhere', { ...nodePool, config: { cluster: 'nowhere' } }],
    ['no such cluster', { ...nodePool, config: { cluster: 'not-made' } }],
    ['no zone', { ...nodePool, zone: null }],
    ['no setting image', { ...zonal, config: {} }],
    ['no zone and no region', { ...zonal, zone: null, region: null }],
  ])('a pool that cannot be is refused: %s', async (words, pool) => {
    const result = await (await opened()).provider.ensurePool(pool, FENCE);
    expect(result).toMatchObject({ outcome: 'refused', reason: 'INVALID', message: expect.stringContaining(words) as string });
  });

  test('another instance type of a node pool is refused: it would make every machine anew', async () => {
    const { provider } = await withPool(nodePool);
    const result = await provider.ensurePool({ ...nodePool, instanceType: 'n2-standard-8' }, FENCE);
    expect(result).toMatchObject({ outcome: 'refused', reason: 'INVALID' });
  });
});
