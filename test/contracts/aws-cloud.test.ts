// Pools and notices of AWS by the suite of the port, on moto's server behind a proxy that adds what moto leaves out and all that can go wrong.
// Skipped by name where moto is not installed.
import { afterAll, beforeAll, describe, test } from 'vitest';
import { AwsCloud } from '../../src/clouds/aws/aws-cloud.adapter.ts';
import { AwsSettings } from '../../src/clouds/aws/aws-settings.adapter.ts';
import type { CloudPool } from '../../src/clouds/cloud-provider.port.ts';
import { startAwsAccount, type AwsAccount } from '../support/aws-account.ts';
import { awsOwner, type AwsOwner } from '../support/aws-clients.ts';
import { machineProviderSuite, type MachinesSubject } from '../support/cloud-provider-suite.ts';
import { findMoto, startMoto, type Moto } from '../support/moto.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const program = findMoto();
const REGION = 'us-east-1';
/** Longer than moto takes for an answer on a busy machine. */
const DEADLINE_MS = 2_000;

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
  restart(): AwsCloud;
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
  });

const warning = (instanceId: string, time: number, type = 'EC2 Spot Instance Interruption Warning'): string =>
  JSON.stringify({
    ...{ version: '0', id: '12345678-1234-1234-1234-123456789012', source: 'aws.ec2', account: '123456789012' },
    ...{ 'detail-type': type, time: new Date(time).toISOString(), region: REGION },
    resources: [`arn:aws:ec2:${REGION}:123456789012:instance/${instanceId}`],
    detail: { 'instance-id': instanceId, 'instance-action': 'terminate' },
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
      await owner.send(queueUrl, [warning(instanceId, time.now)]);
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
