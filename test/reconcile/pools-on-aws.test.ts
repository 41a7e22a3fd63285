// The loop of nodes on a real database, with machines of AWS instead of simulated ones: moto's server behind the proxy that adds what moto leaves
// out. Who runs is read from EC2 itself. Skipped by name where moto is not installed.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AwsCloud } from '../../src/clouds/aws/aws-cloud.adapter.ts';
import { AwsSettings } from '../../src/clouds/aws/aws-settings.adapter.ts';
import { startAwsAccount, type AwsAccount } from '../support/aws-account.ts';
import { awsOwner, spotWarning, type AwsOwner } from '../support/aws-clients.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { findMoto, startMoto, type Moto } from '../support/moto.ts';
import { makeNodesWorld } from '../support/nodes-world.ts';
import { small, uid } from '../support/nodes.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import { SimulatedNodes } from '../support/simulated-nodes.ts';

const program = findMoto();
const REGION = 'us-east-1';
const WORKLOAD = uid(700);

describe.skipIf(program === null)('Nodes scale: pools on AWS', () => {
  let [db, moto, account, owner]: [TestDatabase, Moto, AwsAccount, AwsOwner] = [] as never;
  beforeAll(async () => {
    db = await openTestDatabase();
    moto = await startMoto(program ?? '');
    account = await startAwsAccount(moto);
    owner = awsOwner(moto.url, REGION);
  });
  afterAll(async () => {
    owner.close();
    await account.close();
    moto.stop();
    await db.close();
  });

  test('machines come for pods that wait, once; go by name when they are idle; a warning is heard before the machine is gone', async () => {
    const world = await makeNodesWorld(db, { cluster: 'on-aws', pools: ['burst'] });
    const [pool] = world.pools;
    if (!pool) throw new Error('it has a pool');
    const queueUrl = await owner.makeQueue('notices');
    const settings = AwsSettings.parse({
      ...{ regions: [REGION], notices: [{ region: REGION, queueUrl }] },
      endpoints: { all: account.url },
    });
    const open = () => new AwsCloud({ name: 'aws', settings, clock: world.clock, logger: quietLogger });
    const aws = open();
    const numberOf = (id: string): number => Number.parseInt(id.slice(-8), 16);
    const nodes = new SimulatedNodes({ ...world, market: aws, prefix: 'here/on-aws', pools: ['burst'], size: small, numberOf });
    const use = (provider: AwsCloud) =>
      world.restart({ inventory: nodes, actions: nodes, providers: new Map([['simulated', provider]]) });
    use(aws);
    const config = { region: REGION, instanceType: 'm5.large', image: 'ami-12c6146b', idleSeconds: '60' };
    await world.scale(pool, { maxNodes: 6, config });

    nodes.want(WORKLOAD, 'burst', 3, small);
    // The answer to the first growth is lost, and the control plane starts anew.
    account.lose('answer', 2);
    await world.pass(2);
    expect(account.found()).toBe(true);
    use(open());
    await world.pass(6);
    const three = await owner.running();
    expect(three).toHaveLength(3);
    expect(nodes.running()).toBe(3);

    nodes.want(WORKLOAD, 'burst', 2, small);
    await world.pass(20);
    const two = await owner.running();
    expect(two).toHaveLength(2);
    expect(three).toEqual(expect.arrayContaining(two));

    await owner.send(queueUrl, [spotWarning(two[0] ?? '', world.clock.now())]);
    await world.pass(2);
    expect(nodes.done.filter((one) => one === `announce ${two[0] ?? ''}`)).toHaveLength(1);
    await owner.terminate(two.slice(0, 1));
    await world.pass(8);
    expect(nodes.running()).toBe(2);
    expect(await owner.running()).toHaveLength(2);
  });
});
