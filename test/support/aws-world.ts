// An account of AWS with somebody who rents in it: the adapter, the account's owner, a queue of notices and a clock.
import { AwsCloud } from '../../src/clouds/aws/aws-cloud.adapter.ts';
import { AwsSettings } from '../../src/clouds/aws/aws-settings.adapter.ts';
import type { CloudPool } from '../../src/clouds/cloud-provider.port.ts';
import { startAwsAccount, type AwsAccount } from './aws-account.ts';
import { awsOwner, spotWarning, type AwsOwner } from './aws-clients.ts';
import type { MachinesSubject } from './cloud-provider-suite.ts';
import type { Moto } from './moto.ts';
import { quietLogger } from './quiet-logger.ts';

const REGION = 'us-east-1';
/** Longer than moto takes for an answer on a busy machine; nobody waits so long for one that hangs. */
const [DEADLINE_MS, HANGING_MS] = [50_000, 100];

/** Plain instances; their account has such an image. */
export const POOL: CloudPool = {
  ...{ key: 'here/east/burst', region: 'aws/us-east-1', zone: null, instanceType: 'm5.large', capacityType: 'spot' },
  labels: { tier: 'burst' },
  config: { image: 'ami-12c6146b', userData: '#!/bin/sh\nexec join --node-labels={labels}\n' },
};

export interface AwsWorld extends MachinesSubject {
  readonly provider: AwsCloud;
  readonly account: AwsAccount;
  readonly owner: AwsOwner;
  readonly queueUrl: string;
  readonly time: { now: number };
  /** Another process with the same account. */
  readonly restart: () => AwsCloud;
}

const cloudOf = (account: AwsAccount, queueUrl: string, time: AwsWorld['time']): AwsCloud =>
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

/** A fresh account, whose pools have plain instances. */
export async function openAccount(moto: Moto): Promise<AwsWorld> {
  await moto.reset();
  const account = await startAwsAccount(moto);
  const owner = awsOwner(moto.url, REGION);
  const queueUrl = await owner.makeQueue('notices');
  const time = { now: 1_800_000_000_000 };
  const wanted = new Set<string>();
  return {
    ...{ pool: POOL, account, owner, queueUrl, time, provider: cloudOf(account, queueUrl, time) },
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

/** The same with a cluster of EKS, whose pools are node groups. */
export async function openCluster(moto: Moto): Promise<AwsWorld> {
  const opened = await openAccount(moto);
  await opened.owner.makeCluster('east');
  const subnets = (await opened.owner.subnets()).slice(0, 2).join(',');
  const nodeRole = 'arn:aws:iam::123456789012:role/nodes';
  const config = { eksCluster: 'east', nodeRole, subnets, maxNodes: '20' };
  return { ...opened, pool: { ...POOL, config } };
}
