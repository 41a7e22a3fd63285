// Which pool of a cluster has the machines that a place needs: the one that was made for them, by tables of what is there.
import { describe, expect, test } from 'vitest';
import type { Offering } from '../../src/clouds/offering.ts';
import { poolFor, type PoolsThere, type Source } from '../../src/deployments/rented-pool.ts';
import type { Cluster, Pool } from '../../src/fleet/cluster.ts';
import type { PoolScaling } from '../../src/fleet/node.ts';

const offering: Offering = {
  ...{ id: 'o1', provider: 'aws', region: 'us-east-1', zone: '', instanceType: 'm7i.large', capacityType: 'spot' },
  ...{ architecture: 'amd64', cpuMilli: 2_000, memoryMib: 8_192, accelerator: null, interruptionBand: null },
};
const from: Source = {
  key: 'mesh aws aws/us-east-1',
  cluster: { id: 'c', name: 'mesh' } as Partial<Cluster> as Cluster,
  source: { provider: 'aws', region: 'aws/us-east-1', maxNodes: 10, zones: [], config: {} },
};
const NAME = 'm7i-large-spot-us-east-1-aws';

const made = (name: string, more: Partial<Pool> = {}): Pool =>
  ({
    ...{ id: name, name, clusterId: 'c', capacityType: 'spot', offeringId: 'o1', nodeSelector: { 'purser.dev/pool': name } },
    ...more,
  }) as Partial<Pool> as Pool;
const scaled = (poolId: string, provider = 'aws', region = 'us-east-1'): PoolScaling =>
  ({ poolId, provider, config: { region } }) as Partial<PoolScaling> as PoolScaling;
const there = (pools: readonly Pool[], scalings: readonly PoolScaling[], leaving: readonly string[] = []): PoolsThere => ({
  ...{ pools, scalings: new Map(scalings.map((one) => [one.poolId, one])) },
  ...{ leaving: leaving.map((name) => made(name)), machines: new Map() },
});

describe('Placement: the pool of a kind of machine', () => {
  test.each<[string, PoolsThere, string, boolean]>([
    ['it is made where nothing has its name', there([], []), NAME, false],
    ['it is the same for every deployment', there([made(NAME)], [scaled(NAME)]), NAME, true],
    ['one of another cluster has nothing to do with it', there([made(NAME, { clusterId: 'd' })], []), NAME, false],
    ['one that was made by hand stays as it is', there([made(NAME, { nodeSelector: { by: 'hand' } })], []), `${NAME}-2`, false],
    ['one of other machines stays as it is', there([made(NAME, { offeringId: 'o2' })], [scaled(NAME)]), `${NAME}-2`, false],
    ['one that somebody else rents stays as it is', there([made(NAME)], [scaled(NAME, 'rack')]), `${NAME}-2`, false],
    ['one of which nobody rents machines stays as it is', there([made(NAME)], []), `${NAME}-2`, false],
    ['the name of one whose machines still go is not used again', there([], [], [NAME]), `${NAME}-2`, false],
    [
      'the one beside those is found again',
      there([made(NAME, { offeringId: null }), made(`${NAME}-3`)], [scaled(`${NAME}-3`)], [`${NAME}-2`]),
      ...([`${NAME}-3`, true] as const),
    ],
  ])('%s', (...[, pools, name, isThere]) => {
    const found = poolFor(from, { offering, zone: '' }, pools);
    expect([found.name, found.pool !== null]).toEqual([name, isThere]);
  });
});
