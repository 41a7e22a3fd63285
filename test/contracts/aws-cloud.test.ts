// Pools of AWS by the suite of the port, on moto's server behind a proxy that adds what moto leaves out and all that can go wrong. Skipped by name
// where moto is not installed.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AwsCloud } from '../../src/clouds/aws/aws-cloud.adapter.ts';
import { CloudUnknown, type CloudResult } from '../../src/clouds/cloud-provider.port.ts';
import { isChange, type AwsAnswer } from '../support/aws-account.ts';
import { openAccount, openCluster, POOL, type AwsWorld } from '../support/aws-world.ts';
import { machineProviderSuite } from '../support/cloud-provider-suite.ts';
import { findMoto, startMoto, type Moto } from '../support/moto.ts';

const program = findMoto();

let moto: Moto;
beforeAll(async () => {
  if (program !== null) moto = await startMoto(program);
});
afterAll(() => {
  if (program !== null) moto.stop();
});

// Not switched off: `.ci/run` brings the server; where it is absent all the same, this names it in the closing lines.
if (program === null) describe('Cloud port: machines of AWS', () => test.skip('moto_server is not installed'));
else {
  machineProviderSuite('AWS, instances', ['stock', 'quota', 'lose', 'trouble', 'interrupt', 'epochs'], () => openAccount(moto));
  machineProviderSuite('AWS, node groups', ['lose', 'trouble', 'epochs'], () => openCluster(moto));
}

const FENCE = { epoch: 7 };
const ACCEPTED = { outcome: 'accepted' };
const none = (text: string): string => text.replace(/<(reservationSet|launchTemplates)>.*<\/\1>/s, '<$1></$1>');

const failedActivity = (words: string): string =>
  `<DescribeScalingActivitiesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeScalingActivitiesResult>` +
  `<Activities><member><ActivityId>a-1</ActivityId><StatusCode>Failed</StatusCode><StatusMessage>${words}</StatusMessage></member></Activities>` +
  `</DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>`;

describe.runIf(program !== null)('Cloud port: AWS in its bad hours', () => {
  const accounts: AwsWorld[] = [];
  afterEach(async () => {
    for (const account of accounts.splice(0)) await account.close?.();
  });
  const fresh = async (): Promise<AwsWorld> => {
    const account = await openAccount(moto);
    accounts.push(account);
    return account;
  };
  const scale = (provider: AwsCloud, desired: number, release: readonly string[] = []) =>
    provider.scalePool(POOL.key, { desired, release }, FENCE);
  const withMachines = async (count: number) => {
    const opened = await fresh();
    expect(await opened.provider.ensurePool(POOL, FENCE)).toEqual(ACCEPTED);
    if (count > 0) expect(await scale(opened.provider, count)).toEqual(ACCEPTED);
    return opened;
  };
  /** Says it until it is answered, each time by a process that knows nothing. */
  const insist = async (opened: AwsWorld, say: (provider: AwsCloud) => Promise<CloudResult>): Promise<CloudResult> => {
    for (let tries = 0; tries < 4; tries += 1) {
      try {
        return await say(opened.restart());
      } catch (error) {
        if (!(error instanceof CloudUnknown)) throw error;
      }
    }
    throw new Error('it is never answered');
  };

  test.each(['request', 'answer'] as const)(
    'a crash at every step of growing and shrinking a pool, its last %s lost: no machine leaked, none started twice',
    async (what) => {
      let steps = 0;
      for (let isDone = false; !isDone; steps += 1) {
        const opened = await fresh();
        const { account, owner } = opened;
        account.lose(what, steps);
        expect(await insist(opened, (provider) => provider.ensurePool(POOL, FENCE))).toEqual(ACCEPTED);
        expect(await insist(opened, (provider) => scale(provider, 3))).toEqual(ACCEPTED);
        const [first = '', ...rest] = await owner.running();
        expect(rest).toHaveLength(2);
        expect(await insist(opened, (provider) => scale(provider, 2, [first]))).toEqual(ACCEPTED);
        expect(await owner.running()).toEqual(rest);
        expect(await insist(opened, (provider) => provider.deletePool(POOL.key, FENCE))).toEqual(ACCEPTED);
        expect(await owner.running()).toEqual([]);
        expect(await opened.restart().observeNodes(POOL.key)).toBeNull();
        isDone = !account.found();
      }
      // Template, batch, machines; one given back; two given back, template removed.
      expect(steps - 1).toBe(6);
    },
  );

  test('machines that show late are not started again, by this process or by the next', async () => {
    const { provider, account, owner, restart } = await withMachines(0);
    account.edit = (call, answer) => (call.action === 'DescribeInstances' ? { ...answer, body: none(answer.body) } : answer);
    expect(await scale(provider, 2)).toEqual(ACCEPTED);
    const first = await owner.running();
    expect((await provider.observeNodes(POOL.key))?.nodes.map(({ instanceId }) => instanceId).sort()).toEqual(first);
    expect(await scale(provider, 2)).toEqual(ACCEPTED);
    const next = restart();
    expect(await scale(next, 2)).toEqual(ACCEPTED);
    await expect(scale(restart(), 3)).rejects.toThrow(CloudUnknown);
    expect(await owner.running()).toEqual(first);
    account.edit = null;
    expect(await scale(restart(), 3)).toEqual(ACCEPTED);
    expect(await owner.running()).toEqual(expect.arrayContaining(first));
    expect(await owner.running()).toHaveLength(3);
  });

  test('where EC2 reports a created pool late or twice, it is not made twice', async () => {
    const { provider, account } = await fresh();
    account.edit = (call, answer) =>
      call.action === 'DescribeLaunchTemplates' ? { ...answer, body: none(answer.body) } : answer;
    expect(await provider.ensurePool(POOL, FENCE)).toEqual(ACCEPTED);
    await expect(provider.ensurePool(POOL, FENCE)).rejects.toThrow(CloudUnknown);
    account.edit = null;
    expect(await provider.ensurePool(POOL, FENCE)).toEqual(ACCEPTED);
    expect(await provider.observeNodes(POOL.key)).toEqual({ desired: 0, nodes: [] });
  });

  test('a machine that shows twice is one machine', async () => {
    const { provider, account, owner } = await withMachines(2);
    const twice = (text: string): string =>
      text.replace(/<reservationSet>(.*)<\/reservationSet>/s, '<reservationSet>$1$1</reservationSet>');
    account.edit = (call, answer) => (call.action === 'DescribeInstances' ? { ...answer, body: twice(answer.body) } : answer);
    expect(await provider.observeNodes(POOL.key)).toMatchObject({ desired: 2, nodes: [{}, {}] });
    expect(await scale(provider, 2)).toEqual(ACCEPTED);
    expect(await owner.running()).toHaveLength(2);
  });

  test('a page of machines that leads back to itself is unknown', async () => {
    const { provider, account } = await withMachines(1);
    let first: AwsAnswer | null = null;
    const again = (text: string): string => text.replace('</reservationSet>', '</reservationSet><nextToken>again</nextToken>');
    account.edit = (call, answer) =>
      call.action === 'DescribeInstances' ? (first ??= { ...answer, body: again(answer.body) }) : answer;
    await expect(provider.observeNodes(POOL.key)).rejects.toThrow(/leads back/);
    await expect(scale(provider, 5)).rejects.toThrow(CloudUnknown);
  });

  test('a machine with the tag of a pool that nobody wished for counts, and is given back by name', async () => {
    const { provider, owner } = await withMachines(1);
    const [mine = ''] = await owner.running();
    const stray = await owner.start({ 'purser:pool': POOL.key });
    const state = await provider.observeNodes(POOL.key);
    expect(state).toMatchObject({ desired: 2 });
    expect(await scale(provider, 1)).toMatchObject({ reason: 'NAME_MACHINES' });
    expect(await scale(provider, 1, [stray])).toEqual(ACCEPTED);
    expect(await owner.running()).toEqual([mine]);
  });

  test('a machine of a pool that is forgotten is given back', async () => {
    const { provider, owner } = await fresh();
    await owner.start({ 'purser:pool': POOL.key });
    expect(await provider.deletePool(POOL.key, FENCE)).toEqual(ACCEPTED);
    expect(await owner.running()).toEqual([]);
  });

  test('a pool is not forgotten while machines that were asked for may still come', async () => {
    const { provider, account, owner, restart, time } = await withMachines(0);
    account.lose('request', 1);
    await expect(scale(provider, 2)).rejects.toThrow(CloudUnknown);
    expect(account.found()).toBe(true);
    await expect(restart().deletePool(POOL.key, FENCE)).rejects.toThrow(/may still come/);
    time.now += 301_000;
    expect(await restart().deletePool(POOL.key, FENCE)).toEqual(ACCEPTED);
    expect(await owner.running()).toEqual([]);
  });

  test('of three wished for come the two that there are; the third is a refusal', async () => {
    const { provider, account } = await withMachines(0);
    account.limits.stock = 2;
    expect(await scale(provider, 3)).toEqual(ACCEPTED);
    expect(await provider.observeNodes(POOL.key)).toMatchObject({ desired: 2, nodes: [{}, {}] });
    expect(await scale(provider, 3)).toMatchObject({ reason: 'STOCK_OUT', retryAfterMs: 120_000 });
    account.limits.quota = 0;
    expect(await scale(provider, 3)).toMatchObject({ reason: 'QUOTA' });
  });

  test('what a node group could not start is refused when it is asked for again, and does not come later', async () => {
    const opened = await openCluster(moto);
    accounts.push(opened);
    const { provider, pool, account, owner } = opened;
    await provider.ensurePool(pool, FENCE);
    expect(await scale(provider, 2)).toEqual(ACCEPTED);
    const words = 'Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available.';
    account.edit = (call, answer) => {
      if (call.action === 'DescribeScalingActivities') return { status: 200, type: 'text/xml', body: failedActivity(words) };
      // Three are wished for, and two have come.
      return { ...answer, body: answer.body.replace('<DesiredCapacity>2<', '<DesiredCapacity>3<') };
    };
    expect(await provider.observeNodes(pool.key)).toMatchObject({ desired: 2, nodes: [{}, {}] });
    expect(await scale(provider, 3)).toMatchObject({ outcome: 'refused', reason: 'STOCK_OUT', retryAfterMs: 120_000 });
    const last = account.calls.findLast(({ action }) => action === 'SetDesiredCapacity');
    expect(last?.form.get('DesiredCapacity')).toBe('2');
    // The next attempt is not judged by the failure of the last.
    account.edit = (call, answer) =>
      call.action === 'DescribeScalingActivities' ? { status: 200, type: 'text/xml', body: failedActivity(words) } : answer;
    expect(await scale(provider, 3)).toEqual(ACCEPTED);
    expect(await owner.running()).toHaveLength(3);
  });

  test('what machines are told is what the pool says: labels in the script, spot, network, disk', async () => {
    const { provider, account } = await fresh();
    const config = { ...POOL.config, subnet: 'subnet-1', securityGroups: 'sg-1, sg-2', instanceProfile: 'nodes', diskGib: '80' };
    expect(await provider.ensurePool({ ...POOL, labels: { tier: 'burst', gpu: 't4' }, config }, FENCE)).toEqual(ACCEPTED);
    const form = account.calls.find(({ action }) => action === 'CreateLaunchTemplate')?.form;
    const told = (name: string): string => form?.get(`LaunchTemplateData.${name}`) ?? '';
    expect(Buffer.from(told('UserData'), 'base64').toString()).toBe('#!/bin/sh\nexec join --node-labels=gpu=t4,tier=burst\n');
    expect([told('InstanceMarketOptions.MarketType'), told('InstanceType'), told('IamInstanceProfile.Name')]).toEqual([
      ...['spot', 'm5.large', 'nodes'],
    ]);
    expect([told('NetworkInterface.1.SubnetId'), told('NetworkInterface.1.SecurityGroupId.2')]).toEqual(['subnet-1', 'sg-2']);
    expect(told('BlockDeviceMapping.1.Ebs.VolumeSize')).toBe('80');
  });

  test('a launch template of the right name that others made is left alone, in words', async () => {
    const { provider, account, owner } = await withMachines(1);
    const machines = await owner.running();
    account.edit = (call, answer) =>
      call.action === 'DescribeLaunchTemplates'
        ? { ...answer, body: answer.body.replaceAll(POOL.key, 'elsewhere/east/burst') }
        : answer;
    const taken = { outcome: 'refused', reason: 'INVALID', message: expect.stringContaining('left alone') as string };
    const changes = account.calls.filter(isChange).length;
    expect(await provider.ensurePool(POOL, FENCE)).toMatchObject(taken);
    expect(await scale(provider, 3)).toMatchObject(taken);
    expect(await provider.deletePool(POOL.key, FENCE)).toMatchObject(taken);
    await expect(provider.observeNodes(POOL.key)).rejects.toThrow(CloudUnknown);
    expect(account.calls.filter(isChange)).toHaveLength(changes);
    expect(await owner.running()).toEqual(machines);
  });

  test('whose leader cannot be read lets nobody in', async () => {
    const { provider, account } = await withMachines(1);
    account.edit = (call, answer) =>
      call.action === 'DescribeLaunchTemplates'
        ? { ...answer, body: answer.body.replaceAll(/(<key>purser:epoch<\/key>\s*<value>)[^<]*/g, '$1seven') }
        : answer;
    const closed = { outcome: 'refused', reason: 'INVALID', message: expect.stringContaining('"seven"') as string };
    expect(await provider.scalePool(POOL.key, { desired: 2, release: [] }, { epoch: 99 })).toMatchObject(closed);
    expect(await provider.deletePool(POOL.key, { epoch: 99 })).toMatchObject(closed);
  });

  test('a node group of the right name that others made is neither scaled nor deleted', async () => {
    const opened = await openCluster(moto);
    accounts.push(opened);
    const { provider, pool, account } = opened;
    await provider.ensurePool(pool, FENCE);
    account.edit = (call, answer) =>
      /^GET \/clusters\/[^/]+\/node-groups\//.test(call.action)
        ? { ...answer, body: answer.body.replaceAll('"purser:pool"', '"their:pool"') }
        : answer;
    const taken = { reason: 'INVALID', message: expect.stringContaining('the node group') as string };
    const before = account.calls.filter(({ action }) => /^(POST|DELETE) |SetDesired/.test(action)).length;
    expect(await provider.ensurePool({ ...pool, labels: {} }, FENCE)).toMatchObject(taken);
    expect(await scale(provider, 2)).toMatchObject(taken);
    expect(await provider.deletePool(pool.key, FENCE)).toMatchObject(taken);
    expect(account.calls.filter(({ action }) => /^(POST|DELETE) |SetDesired/.test(action))).toHaveLength(before);
  });

  test('everything of a pool says whose it is; a region that left the settings is out of reach', async () => {
    const { provider, account } = await withMachines(1);
    const told = account.calls.filter(({ action }) => /^(CreateLaunchTemplate|RunInstances)$/.test(action));
    for (const { form } of told) expect([...form].filter(([, value]) => value === 'purser:installation')).not.toEqual([]);
    expect(provider.outOfReach({ ...POOL, region: 'eu-west-1' })).toContain('not in "eu-west-1"');
  });

  test('what cannot be is refused in words: no image, no such region, another region than before', async () => {
    const { provider } = await withMachines(0);
    const invalid = (message: string) => ({
      outcome: 'refused',
      reason: 'INVALID',
      message: expect.stringContaining(message) as string,
    });
    expect(await provider.ensurePool({ ...POOL, key: 'a/b/c', config: {} }, FENCE)).toMatchObject(invalid('`image`'));
    expect(await provider.ensurePool({ ...POOL, region: 'aws/mars-1' }, FENCE)).toMatchObject(invalid('mars-1'));
    expect(await provider.ensurePool({ ...POOL, region: 'us-west-2' }, FENCE)).toMatchObject(invalid('keeps its region'));
  });
});
