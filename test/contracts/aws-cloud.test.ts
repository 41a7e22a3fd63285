// Pools and notices of AWS by the suite of the port, on moto's server behind a proxy that adds what moto leaves out and all that can go wrong.
// Skipped by name where moto is not installed.
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AwsCloud } from '../../src/clouds/aws/aws-cloud.adapter.ts';
import { AwsSettings } from '../../src/clouds/aws/aws-settings.adapter.ts';
import { CloudUnknown, type CloudPool, type CloudResult } from '../../src/clouds/cloud-provider.port.ts';
import type { Random } from '../../src/kernel/random.ts';
import { seededRandom } from '../support/actors.ts';
import { failure, startAwsAccount, type AwsAccount, type AwsAnswer } from '../support/aws-account.ts';
import { awsOwner, spotWarning, type AwsOwner } from '../support/aws-clients.ts';
import { machineProviderSuite, type MachinesSubject } from '../support/cloud-provider-suite.ts';
import { findMoto, startMoto, type Moto } from '../support/moto.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const program = findMoto();
const REGION = 'us-east-1';
/** Longer than moto takes for an answer on a busy machine; nobody waits so long for one that hangs. */
const [DEADLINE_MS, HANGING_MS] = [50_000, 100];

const POOL: CloudPool = {
  ...{ key: 'here/east/burst', region: 'aws/us-east-1', zone: null, instanceType: 'm5.large', capacityType: 'spot' },
  labels: { tier: 'burst' },
  config: { image: 'ami-12c6146b', userData: '#!/bin/sh\nexec join --node-labels={labels}\n' },
};

let moto: Moto;
beforeAll(async () => {
  if (program !== null) moto = await startMoto(program);
});
afterAll(() => {
  if (program !== null) moto.stop();
});

interface Opened extends MachinesSubject {
  readonly provider: AwsCloud;
  readonly account: AwsAccount;
  readonly owner: AwsOwner;
  readonly queueUrl: string;
  /** Another process with the same account. */
  readonly restart: () => AwsCloud;
}

interface Time {
  now: number;
}

const cloudOf = (account: AwsAccount, queueUrl: string, time: Time): AwsCloud =>
  new AwsCloud({
    name: 'aws',
    settings: AwsSettings.parse({
      regions: ['us-west-2', REGION],
      notices: [{ region: REGION, queueUrl }],
      endpoints: { all: account.url },
      deadlineMs: DEADLINE_MS,
    }),
    clock: { now: () => time.now },
    logger: quietLogger,
    deadline: (ms) => AbortSignal.timeout(account.trouble === 'hangs' ? HANGING_MS : ms),
  });

async function openAccount(pool: CloudPool = POOL): Promise<Opened & { time: Time }> {
  await moto.reset();
  const account = await startAwsAccount(moto);
  const owner = awsOwner(moto.url, REGION);
  const queueUrl = await owner.makeQueue('notices');
  const time = { now: 1_800_000_000_000 };
  const wanted = new Set<string>();
  return {
    ...{ pool, account, owner, queueUrl, time, provider: cloudOf(account, queueUrl, time) },
    restart: () => cloudOf(account, queueUrl, time),
    pass: async () => {
      if (wanted.size > 0) await owner.terminate([...wanted]);
      wanted.clear();
      time.now += 60_000;
    },
    stock: (stock) => void (account.limits.stock = stock),
    quota: (quota) => void (account.limits.quota = quota),
    lose: (what) => account.lose(what),
    trouble: (how) => void (account.trouble = how),
    interrupt: async (instanceId) => {
      await owner.send(queueUrl, [spotWarning(instanceId, time.now)]);
      wanted.add(instanceId);
    },
    close: async () => {
      owner.close();
      await account.close();
    },
  };
}

async function openCluster(): Promise<Opened> {
  const opened = await openAccount();
  await opened.owner.makeCluster('east');
  const subnets = (await opened.owner.subnets()).slice(0, 2).join(',');
  const nodeRole = 'arn:aws:iam::123456789012:role/nodes';
  const config = { eksCluster: 'east', nodeRole, subnets, maxNodes: '20' };
  return { ...opened, pool: { ...POOL, config } };
}

if (program === null) describe('Cloud port: machines of AWS', () => test.skip('moto_server is not installed'));
else {
  machineProviderSuite('AWS, instances', ['stock', 'quota', 'lose', 'trouble', 'interrupt', 'epochs'], () => openAccount());
  machineProviderSuite('AWS, node groups', ['lose', 'trouble', 'epochs'], openCluster);
}

const FENCE = { epoch: 7 };
const ACCEPTED = { outcome: 'accepted' };
const none = (text: string): string => text.replace(/<(reservationSet|launchTemplates)>.*<\/\1>/s, '<$1></$1>');

describe.runIf(program !== null)('Cloud port: AWS in its bad hours', () => {
  const accounts: Opened[] = [];
  afterEach(async () => {
    for (const account of accounts.splice(0)) await account.close?.();
  });
  const fresh = async (): Promise<Awaited<ReturnType<typeof openAccount>>> => {
    const account = await openAccount();
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
  const insist = async (opened: Opened, say: (provider: AwsCloud) => Promise<CloudResult>): Promise<CloudResult> => {
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

/** A queue of SQS that gives what was not deleted, some of it twice at once; answers how many are left. moto takes minutes for so many. */
function crowdedQueue(account: AwsAccount, bodies: readonly string[], random: Random): () => number {
  const messages = new Map(bodies.map((Body, n) => [`handle-${n}`, Body]));
  const given = new Set<string>();
  const give = () => {
    const some = [...messages].filter(([handle]) => !given.has(handle) || random.fraction() < 0.01).slice(0, 10);
    for (const [handle] of some) given.add(handle);
    return some.map(([ReceiptHandle, Body]) => ({ MessageId: ReceiptHandle, ReceiptHandle, Body, MD5OfBody: md5(Body) }));
  };
  const json = (body: unknown): AwsAnswer => ({ status: 200, type: 'application/x-amz-json-1.0', body: JSON.stringify(body) });
  account.edit = (call, answer) => {
    if (call.action === 'ReceiveMessage') return json({ Messages: give() });
    if (call.action !== 'DeleteMessageBatch') return answer;
    const { Entries } = JSON.parse(call.body) as { Entries: { Id: string; ReceiptHandle: string }[] };
    for (const { ReceiptHandle } of Entries) messages.delete(ReceiptHandle);
    return json({ Successful: Entries.map(({ Id }) => ({ Id })), Failed: [] });
  };
  return () => messages.size;
}

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

describe.runIf(program !== null)('Spot: notices of AWS', () => {
  const accounts: Opened[] = [];
  afterEach(async () => {
    for (const account of accounts.splice(0)) await account.close?.();
  });
  const withMachines = async (count: number) => {
    const account = await openAccount();
    accounts.push(account);
    await account.provider.ensurePool(POOL, FENCE);
    await account.provider.scalePool(POOL.key, { desired: count, release: [] }, FENCE);
    return { ...account, ids: await account.owner.running() };
  };
  const REBALANCE = 'EC2 Instance Rebalance Recommendation';

  test('1,000 interruption notices in a minute, duplicated, unordered, for unknown nodes: one answer, and an empty queue', async () => {
    const { provider, account, time, ids } = await withMachines(3);
    const [first = '', second = ''] = ids;
    const at = time.now - 400_000;
    const random = seededRandom(3);
    const strangers = Array.from({ length: 400 }, (_, n) => spotWarning(`i-${(0x10000000 + n).toString(16)}`, at));
    const ours = Array.from({ length: 300 }, (_, n) => [
      spotWarning(first, at + (n % 7) * 1_000),
      spotWarning(second, at, REBALANCE),
    ]);
    const order = [...ours.flat(), ...strangers].map((body) => ({ body, place: random.fraction() }));
    const queue = order.sort((a, b) => a.place - b.place).map(({ body }) => body);
    const left = crowdedQueue(account, queue, random);
    const expected = [
      { instanceId: first, noticedAt: at, goneAt: at + 120_000 },
      { instanceId: second, noticedAt: at, goneAt: null },
    ].sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1));
    expect(await provider.interruptions()).toMatchObject(expected);
    expect(left()).toBe(0);
    expect(await provider.interruptions()).toMatchObject(expected);
    // One look is one plan: a few dozen writes at most, whatever came.
    expect(account.calls.filter(({ action }) => action === 'CreateTags').length).toBeLessThan(50);
  });

  test('a warning stands before a recommendation, whichever came first, and the next process knows it', async () => {
    const { provider, owner, queueUrl, time, ids, restart } = await withMachines(2);
    const [first = '', second = ''] = ids;
    await owner.send(queueUrl, [spotWarning(first, time.now), spotWarning(second, time.now, REBALANCE)]);
    await provider.interruptions();
    await owner.send(queueUrl, [spotWarning(first, time.now, REBALANCE), spotWarning(second, time.now + 5_000)]);
    await provider.interruptions();
    const told = await restart().interruptions();
    expect(told.map(({ goneAt }) => goneAt)).toEqual([time.now + 120_000, time.now + 125_000]);
    await owner.terminate(ids);
    expect(await provider.interruptions()).toEqual([]);
  });

  test('messages that are no notices are deleted; a notice for a machine that does not show yet is not', async () => {
    const { provider, owner, queueUrl, time } = await withMachines(1);
    const young = spotWarning('i-0123456789abcdef0', time.now);
    const state = spotWarning('i-0123456789abcdef0', time.now, 'EC2 Instance State-change Notification');
    await owner.send(queueUrl, ['{', '[]', '{"detail-type": 7}', spotWarning('i-x', time.now), state, young]);
    expect(await provider.interruptions()).toEqual([]);
    expect(await owner.messages(queueUrl)).toBe(1);
  });

  test('a message is not deleted before it is written down', async () => {
    const { provider, account, owner, queueUrl, time, ids } = await withMachines(1);
    await owner.send(queueUrl, [spotWarning(ids[0] ?? '', time.now)]);
    account.lose('request');
    await expect(provider.interruptions()).rejects.toThrow(CloudUnknown);
    expect(await owner.messages(queueUrl)).toBe(1);
  });
});

describe.runIf(program !== null)('Clouds check: AWS', () => {
  const found = async (change: (account: AwsAccount) => void) => {
    const opened = await openAccount();
    try {
      change(opened.account);
      const findings = await opened.provider.check();
      return Object.fromEntries(findings.map(({ aspect, status, message }) => [aspect, `${status}: ${message}`]));
    } finally {
      await opened.close?.();
    }
  };

  test('what answers is ok, what does not is unknown', async () => {
    const findings = await found(() => undefined);
    expect(findings['credentials']).toMatch(/^ok: Account 123456789012, as arn:/);
    expect(findings['permissions']).toMatch(/^ok: us-east-1: pools can be made/);
    expect(findings['notices']).toBe('ok: us-east-1: the queue is there, with 0 messages.');
    expect(findings['prices']).toMatch(/^unknown: /);
    expect(findings['bill']).toMatch(/^unknown: .*a cent/);
  });

  test('what is not allowed is failed, in the words of AWS', async () => {
    const denied = await found((account) => {
      account.edit = (call, answer) =>
        call.action === 'CreateLaunchTemplate' ? failure(call, 403, 'UnauthorizedOperation', 'You may not') : answer;
    });
    expect(denied['permissions']).toBe('failed: Not allowed: UnauthorizedOperation: You may not');
  });

  test('vCPUs are told; none at all is failed', async () => {
    const answered = (value: number) => (account: AwsAccount) => {
      account.edit = (call, answer) =>
        call.action === 'GetServiceQuota'
          ? { status: 200, type: 'application/x-amz-json-1.1', body: JSON.stringify({ Quota: { Value: value } }) }
          : answer;
    };
    expect((await found(answered(64)))['quota']).toMatch(/^ok: us-east-1: vCPUs that may run: 64 standard on demand/);
    expect((await found(answered(0)))['quota']).toMatch(/^failed: us-east-1: no vCPU may run/);
  });
});
