// Notices of AWS, from messages in a queue of SQS to what the port answers, and what a check of an account finds; on moto's server behind a proxy.
// Skipped by name where moto is not installed.
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import type { Random } from '../../src/kernel/random.ts';
import { seededRandom } from '../support/actors.ts';
import { failure, type AwsAccount, type AwsAnswer } from '../support/aws-account.ts';
import { spotWarning } from '../support/aws-clients.ts';
import { openAccount, POOL, type AwsWorld } from '../support/aws-world.ts';
import { findMoto, startMoto, type Moto } from '../support/moto.ts';

const FENCE = { epoch: 7 };
const program = findMoto();

let moto: Moto;
beforeAll(async () => {
  if (program !== null) moto = await startMoto(program);
});
afterAll(() => {
  if (program !== null) moto.stop();
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
  const accounts: AwsWorld[] = [];
  afterEach(async () => {
    for (const account of accounts.splice(0)) await account.close?.();
  });
  const withMachines = async (count: number) => {
    const account = await openAccount(moto);
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
    account.edit = (call, answer) => (call.action === 'CreateTags' ? failure(call, 503, 'Unavailable', 'Not now') : answer);
    await expect(provider.interruptions()).rejects.toThrow(CloudUnknown);
    expect(await owner.messages(queueUrl)).toBe(1);
  });
});

describe.runIf(program !== null)('Clouds check: AWS', () => {
  const found = async (change: (account: AwsAccount) => void) => {
    const opened = await openAccount(moto);
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
