// One deployment in one pool, another pool of its cluster beside it: whether it may go there by what its wish says.
import { describe, expect, test } from 'vitest';
import type { Offering } from '../../src/clouds/offering.ts';
import type { DeploymentSpec } from '../../src/deployments/deployment.ts';
import type { Workload } from '../../src/deployments/replica.ts';
import { sparePools } from '../../src/deployments/spare-pools.ts';
import type { Cluster, Pool } from '../../src/fleet/cluster.ts';

const offering = (id: string, region: string): Offering => ({
  ...{ id, provider: 'aws', region, zone: '', instanceType: 'm7i.large', capacityType: 'spot', architecture: 'amd64' },
  ...{ cpuMilli: 2_000, memoryMib: 8_192, accelerator: null, interruptionBand: null },
});
const pool = (id: string, offeringId: string): Pool =>
  ({ id, name: id, clusterId: 'c', capacityType: 'spot', offeringId, nodeSelector: {} }) as Partial<Pool> as Pool;

const spares = (placement: Partial<DeploymentSpec['placement']>, region = 'us-east-1'): string[] =>
  sparePools({
    spec: { placement: { regions: ['*'], capacityTypes: ['spot'], ...placement } },
    resources: { cpuMilli: 500, memoryMib: 512, accelerator: null },
    workloads: [{ clusterId: 'c', poolId: 'home', offeringId: 'o1' } as Partial<Workload> as Workload],
    clusters: [{ id: 'c', name: 'east', cordoned: false } as Partial<Cluster> as Cluster],
    pools: [pool('home', 'o1'), pool('other', 'o2')],
    offerings: new Map([offering('o1', 'eu-west-1'), offering('o2', region)].map((one) => [one.id, one])),
  }).map(({ name }) => name);

describe('Spot: pools that a deployment is not on', () => {
  test.each<[string, Partial<DeploymentSpec['placement']>, string, string[]]>([
    ['nothing forbids it', {}, 'us-east-1', ['other']],
    ['its region is not allowed', { regions: ['aws/eu-*'] }, 'us-east-1', []],
    ['data may not go there', { policy: { residency: ['aws/eu-*'] } }, 'us-east-1', []],
    ['data may go there', { policy: { residency: ['aws/eu-*'] } }, 'eu-central-1', ['other']],
    ['callers are near another region', { policy: { latencyMs: 20 } }, 'us-east-1', []],
    ['callers are near this region', { policy: { latencyMs: 20 } }, 'eu-west-1', ['other']],
    ['it stays apart from others, in its region', { policy: { apart: ['rival'] } }, 'us-east-1', []],
    ['the wish names its pool', { pool: 'home' }, 'us-east-1', []],
  ])('%s', (...[, placement, region, expected]) => {
    expect(spares(placement, region)).toEqual(expected);
  });
});
