// The adapter against a strict double of Azure Resource Manager: the suite of all providers once per kind of pool, and what only Azure does.
import { afterEach, describe, expect, test } from 'vitest';
import { AzureMachines } from '../../src/clouds/azure/azure-machines.adapter.ts';
import { AzureSettings } from '../../src/clouds/azure/azure-settings.adapter.ts';
import { CloudUnknown, type CloudPool } from '../../src/clouds/cloud-provider.port.ts';
import { seededRandom } from '../support/actors.ts';
import { AzureDouble, TOKEN } from '../support/azure-double.ts';
import { SUBSCRIPTION } from '../support/azure-double-groups.ts';
import { machineProviderSuite, type MachinesSubject } from '../support/cloud-provider-suite.ts';

const common = { region: 'azure/eastus', zone: 'eastus-1', instanceType: 'Standard_D4s_v5', capacityType: 'spot' } as const;
const agents: CloudPool = {
  ...{ ...common, key: 'here/east/agents', labels: { tier: 'burst' } },
  config: { cluster: 'east', diskGib: '64' },
};
const scaleSet: CloudPool = {
  ...{ ...common, key: 'here/east/machines', labels: { tier: 'burst' } },
  config: { image: 'a:b:c:latest', subnet: '/subnets/one', sshPublicKey: 'ssh-ed25519 x', userData: 'join {labels}' },
};

const settings = (double: AzureDouble) =>
  AzureSettings.parse({
    ...{ subscriptionId: SUBSCRIPTION, clusters: [{ resourceGroup: 'rg', name: 'east' }] },
    ...{ scaleSets: { resourceGroup: 'purser' }, endpoints: { management: double.http.url }, deadlineMs: 200 },
  });

const started: AzureDouble[] = [];
afterEach(() => {
  for (const double of started.splice(0)) double.http.stop();
});

async function opened() {
  const double = new AzureDouble();
  started.push(double);
  await double.http.start();
  const { provider, double: same } = another(double);
  return { double: same, provider };
}

/** Somebody else with the same configuration, who remembers nothing. */
function another(double: AzureDouble) {
  const pause = (ms: number): Promise<void> => {
    double.pass(ms);
    return Promise.resolve();
  };
  const provider = new AzureMachines({
    ...{ name: 'azure', settings: settings(double), clock: { now: () => double.now }, random: seededRandom(4) },
    ...{ token: () => Promise.resolve(TOKEN), pause },
  });
  return { double, provider };
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
machineProviderSuite('Azure agent pools', ALL, () => subject(agents));
machineProviderSuite('Azure scale sets', ALL, () => subject(scaleSet));

const FENCE = { epoch: 7 };
const ACCEPTED = { outcome: 'accepted' };

describe('Cloud port: machines of Azure', () => {
  const withPool = async (pool: CloudPool) => {
    const { double, provider } = await opened();
    expect(await provider.ensurePool(pool, FENCE)).toEqual(ACCEPTED);
    const scale = (desired: number, release: readonly string[] = []) => provider.scalePool(pool.key, { desired, release }, FENCE);
    const observe = async () => {
      double.pass();
      return (await provider.observeNodes(pool.key))!;
    };
    const body = () => [...double.written].find(([path]) => /(agentPools|virtualMachineScaleSets)\/[^/]+$/.test(path))?.[1];
    return { double, provider, scale, observe, body };
  };

  test('an agent pool of spot machines is evicted by deletion, scales by nobody else, and names its nodes', async () => {
    const { scale, observe, body } = await withPool(agents);
    expect(body()).toMatchObject({
      properties: {
        ...{ enableAutoScaling: false, mode: 'User', count: 0, vmSize: 'Standard_D4s_v5', availabilityZones: ['1'] },
        ...{ scaleSetPriority: 'Spot', scaleSetEvictionPolicy: 'Delete', spotMaxPrice: -1, osDiskSizeGB: 64 },
        ...{ nodeLabels: { tier: 'burst' }, tags: { 'purser-pool': agents.key, 'purser-epoch': '7' } },
      },
    });
    await scale(1);
    const [node] = (await observe()).nodes;
    expect(node?.instanceId).toMatch(/^aks-p\w{11}-12345678-vmss_0$/);
    expect(node?.nodeName).toMatch(/^aks-p\w{11}-12345678-vmss000000$/);
  });

  test('a scale set gives its machines the script with their labels', async () => {
    const { body } = await withPool(scaleSet);
    const profile = { priority: 'Spot', evictionPolicy: 'Delete', osProfile: { customData: btoa('join tier=burst') } };
    expect(body()).toMatchObject({ location: 'eastus', zones: ['1'], properties: { virtualMachineProfile: profile } });
  });

  test('Azure reports a created pool late or twice: it is one, found by its name, and what was made too much goes', async () => {
    const { double, provider } = await withPool(scaleSet);
    const late = another(double).provider;
    expect(await late.observeNodes(scaleSet.key)).toBeNull();
    expect(await late.ensurePool(scaleSet, FENCE)).toEqual(ACCEPTED);
    expect([...double.written.keys()]).toHaveLength(1);
    // Somebody who was away for long, and whom the list did not tell.
    double.now += 120_000;
    double.hides = true;
    expect(await another(double).provider.ensurePool(scaleSet, FENCE)).toEqual(ACCEPTED);
    double.hides = false;
    double.pass();
    expect([...double.written.keys()]).toHaveLength(2);
    expect(await provider.ensurePool(scaleSet, FENCE)).toEqual(ACCEPTED);
    double.pass();
    expect(double.names()).toHaveLength(1);
    await provider.deletePool(scaleSet.key, FENCE);
    double.pass();
    expect(double.names()).toEqual([]);
  });

  test('a pool that changes meanwhile, and one that something else is done to, are asked again', async () => {
    const { double, provider, scale } = await withPool(agents);
    double.http.lose('request');
    await expect(provider.ensurePool({ ...agents, labels: {} }, FENCE)).rejects.toThrow(CloudUnknown);
    await scale(1);
    // AKS does one thing at a time.
    await expect(scale(2)).rejects.toThrow(/in progress/);
    double.pass();
    expect(await scale(2)).toEqual(ACCEPTED);
  });

  test.each([agents, scaleSet])(
    'a pool that changed after it was looked at is not described by an old look: $key',
    async (pool) => {
      const { double, provider, scale, observe } = await withPool(pool);
      await scale(1);
      await observe();
      double.touches = true;
      await expect(provider.ensurePool({ ...pool, labels: { tier: 'other' } }, FENCE)).rejects.toThrow(/PreconditionFailed/);
      double.touches = false;
      expect(await provider.ensurePool({ ...pool, labels: { tier: 'other' } }, FENCE)).toEqual(ACCEPTED);
    },
  );

  test('the eviction of a machine of somebody else is none of ours', async () => {
    const { double, provider } = await withPool(scaleSet);
    double.addStranger('theirs');
    double.preempt('theirs_0');
    expect(await provider.interruptions()).toEqual([]);
  });

  test('machines that leave are waited for before others are asked for, so that Azure does not choose', async () => {
    const { provider, scale, observe } = await withPool(scaleSet);
    await scale(2);
    const [first = '', second = ''] = (await observe()).nodes.map(({ instanceId }) => instanceId);
    await expect(scale(2, [first])).rejects.toThrow(/still leaving/);
    await observe();
    expect(await scale(2, [first])).toEqual(ACCEPTED);
    const running = (await observe()).nodes.filter(({ phase }) => phase === 'running').map(({ instanceId }) => instanceId);
    expect(running).toHaveLength(2);
    expect(running).toContain(second);
    expect((await provider.observeNodes(scaleSet.key))?.desired).toBe(2);
  });

  test('of more machines some may come; one that cannot be made is cleared away and not counted', async () => {
    const { double, scale, observe } = await withPool(scaleSet);
    double.stock = 2;
    expect(await scale(4)).toEqual(ACCEPTED);
    expect(await observe()).toMatchObject({ desired: 2 });
    expect(await scale(4)).toMatchObject({ outcome: 'refused', reason: 'STOCK_OUT', retryAfterMs: 120_000 });
    double.stock = 10;
    double.breaks = true;
    await scale(3);
    expect(await observe()).toMatchObject({ desired: 2 });
    double.breaks = false;
    await expect(scale(3)).rejects.toThrow(/still leaving/);
    await observe();
    expect(await scale(3)).toEqual(ACCEPTED);
    expect((await observe()).nodes.filter(({ phase }) => phase === 'running')).toHaveLength(3);
  });

  test.each([agents, scaleSet])('what others made under the name of a pool is left alone, in words: $key', async (pool) => {
    const { double } = await withPool(pool);
    double.disown();
    double.written.clear();
    const taken = { outcome: 'refused', reason: 'INVALID', message: expect.stringContaining('left alone') as string };
    const other = another(double).provider;
    expect(await other.ensurePool(pool, FENCE)).toMatchObject(taken);
    expect(await other.scalePool(pool.key, { desired: 1, release: [] }, FENCE)).toMatchObject({ reason: 'NO_SUCH_POOL' });
    expect(await other.deletePool(pool.key, FENCE)).toEqual(ACCEPTED);
    expect([...double.written.keys()]).toEqual([]);
    expect(double.names()).toHaveLength(1);
  });

  test.each([agents, scaleSet])('whose leader cannot be read lets nobody in: $key', async (pool) => {
    const { double, provider } = await withPool(pool);
    double.mark('purser-epoch', 'seven');
    const closed = { outcome: 'refused', reason: 'INVALID', message: expect.stringContaining('"seven"') as string };
    expect(await provider.scalePool(pool.key, { desired: 1, release: [] }, { epoch: 99 })).toMatchObject(closed);
    expect(await provider.deletePool(pool.key, { epoch: 99 })).toMatchObject(closed);
  });

  test.each([agents, scaleSet])('what there was no room for is wished for no longer: $key', async (pool) => {
    const { double, scale, observe } = await withPool(pool);
    double.stock = 1;
    expect(await scale(3)).toEqual(ACCEPTED);
    expect(double.sizes()).toEqual([1]);
    double.stock = 100;
    expect(await observe()).toMatchObject({ desired: 1 });
    expect(await scale(3)).toEqual(ACCEPTED);
    expect(await observe()).toMatchObject({ desired: 3 });
  });

  test('what is refused only after the answer is wished for no longer once the pool is asked for something', async () => {
    const { double } = await withPool(scaleSet);
    double.pass();
    double.stock = 1;
    const hasty = new AzureMachines({
      ...{ name: 'azure', settings: { ...settings(double), settleMs: 0 }, clock: { now: () => double.now } },
      ...{ random: seededRandom(4), token: () => Promise.resolve(TOKEN), pause: () => Promise.resolve() },
    });
    expect(await hasty.scalePool(scaleSet.key, { desired: 3, release: [] }, FENCE)).toMatchObject({ outcome: 'accepted' });
    double.pass();
    expect(double.sizes()).toEqual([3]);
    expect(await hasty.scalePool(scaleSet.key, { desired: 1, release: [] }, FENCE)).toEqual(ACCEPTED);
    expect(double.sizes()).toEqual([1]);
  });

  test.each([agents, scaleSet])('a list that lags makes no size smaller than the pool has: $key', async (pool) => {
    const { double, provider, scale, observe } = await withPool(pool);
    await scale(4);
    await observe();
    double.unlisted = 2;
    expect(await provider.observeNodes(pool.key)).toMatchObject({ desired: 4 });
    expect(await scale(3)).toMatchObject({ reason: 'NAME_MACHINES' });
    double.unlisted = 0;
    expect((await observe()).nodes.filter(({ phase }) => phase === 'running')).toHaveLength(4);
    // Of machines that stay away it is believed after a while that they are gone.
    double.unlisted = 2;
    await provider.observeNodes(pool.key);
    expect(await observe()).toMatchObject({ desired: 2 });
  });

  test('of a pool that was made twice the one with machines counts; with machines in both nobody overlooks one', async () => {
    const { double, provider, scale } = await withPool(scaleSet);
    double.now += 120_000;
    double.hides = true;
    const second = another(double).provider;
    expect(await second.ensurePool(scaleSet, FENCE)).toEqual(ACCEPTED);
    expect(await second.scalePool(scaleSet.key, { desired: 2, release: [] }, FENCE)).toEqual(ACCEPTED);
    double.hides = false;
    double.pass();
    expect((await another(double).provider.observeNodes(scaleSet.key))?.nodes).toHaveLength(2);
    expect(await scale(1)).toEqual(ACCEPTED);
    double.pass();
    const third = another(double).provider;
    await expect(third.observeNodes(scaleSet.key)).rejects.toThrow(/2 times with machines/);
    expect(await third.ensurePool(scaleSet, FENCE)).toMatchObject({ reason: 'INVALID' });
    expect(await provider.deletePool(scaleSet.key, FENCE)).toEqual(ACCEPTED);
    double.pass();
    expect(double.names()).toEqual([]);
  });

  test('a page of a list that is empty may lead to others', async () => {
    const { double, provider, scale, observe } = await withPool(scaleSet);
    await scale(2);
    await observe();
    double.emptyFirst = true;
    expect((await provider.observeNodes(scaleSet.key))?.nodes).toHaveLength(2);
  });

  test('a pool says whose it is; a cluster or a resource group that left the settings is out of reach', async () => {
    const { double, provider, body } = await withPool(scaleSet);
    expect(body()).toMatchObject({ tags: { 'purser-installation': 'here' } });
    expect(provider.outOfReach({ ...agents, config: { cluster: 'west' } })).toContain('no cluster west');
    const without = new AzureMachines({
      ...{ name: 'azure', settings: { ...settings(double), scaleSets: null }, clock: { now: () => 0 }, random: seededRandom(4) },
      token: () => Promise.resolve(TOKEN),
    });
    expect(without.outOfReach(scaleSet)).toContain('no resource group');
  });

  test.each<[string, CloudPool]>([
    ['names no cluster nowhere', { ...agents, config: { cluster: 'nowhere' } }],
    ['no setting image, sshPublicKey', { ...scaleSet, config: { subnet: 's' } }],
    ['no instance type', { ...scaleSet, instanceType: null }],
  ])('a pool that cannot be is refused: %s', async (words, pool) => {
    const result = await (await opened()).provider.ensurePool(pool, FENCE);
    expect(result).toMatchObject({ outcome: 'refused', reason: 'INVALID', message: expect.stringContaining(words) as string });
  });

  test('another size of the machines of an agent pool is refused, as Azure refuses it', async () => {
    const { provider } = await withPool(agents);
    const result = await provider.ensurePool({ ...agents, instanceType: 'Standard_D8s_v5' }, FENCE);
    expect(result).toMatchObject({ outcome: 'refused', reason: 'INVALID' });
  });

  test('whom Azure does not let in knows nothing', async () => {
    const double = new AzureDouble();
    started.push(double);
    await double.http.start();
    const options = { name: 'azure', settings: settings(double), clock: { now: () => double.now }, random: seededRandom(4) };
    const wrong = new AzureMachines({ ...options, token: () => Promise.resolve('wrong') });
    await expect(wrong.observeNodes(agents.key)).rejects.toThrow(CloudUnknown);
    const none = new AzureMachines({ ...options, token: () => Promise.reject(new Error('not signed in')) });
    await expect(none.interruptions()).rejects.toThrow(/no credentials: not signed in/);
  });
});
