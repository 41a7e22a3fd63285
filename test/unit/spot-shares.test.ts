// Wishes over one and several clusters, as plain values: which parts of a deployment follow the spot market, and with how many replicas.
import { describe, expect, test } from 'vitest';
import type { DeploymentSpec, PlacedCluster } from '../../src/deployments/deployment.ts';
import type { Workload } from '../../src/deployments/replica.ts';
import type { Revision } from '../../src/deployments/revision.ts';
import type { Rollout } from '../../src/deployments/rollout.ts';
import { followedShares, type SharedOut } from '../../src/deployments/spot-shares.ts';
import type { Cluster } from '../../src/fleet/cluster.ts';

const cluster = (name: string, more: Partial<Cluster> = {}): Cluster =>
  ({ id: name, name, lostAt: null, conditions: [], ...more }) as Partial<Cluster> as Cluster;
const unseen: Partial<Cluster> = {
  conditions: [{ type: 'Reachable', status: 'False', reason: '', message: '', lastTransitionTime: 0 }],
};
const workload = (clusterName: string, pool = 'p', revisionId = 'r1'): Workload =>
  ({
    id: `${clusterName} ${pool}`,
    clusterId: clusterName,
    clusterName,
    revisionId,
    replicas: 1,
  }) as Partial<Workload> as Workload;
const on = (name: string, weight: number, order = 0): PlacedCluster => ({ cluster: name, weight, order });

const shares = (clusters: readonly PlacedCluster[], more: Partial<SharedOut> = {}) => {
  const placement = { regions: ['*'], capacityTypes: ['spot'] as const, clusters };
  const spec = { replicas: 6, traffic: [{ revision: 1, weight: 100 }], placement } as Partial<DeploymentSpec> as DeploymentSpec;
  return followedShares({
    deployment: { spec },
    rollout: null,
    revisions: [{ id: 'r1', number: 1 } as Partial<Revision> as Revision],
    clusters: [cluster('a'), cluster('b'), cluster('c')],
    live: [workload('a'), workload('a', 'q'), workload('b')],
    ...more,
  }).map(({ cluster: name, replicas, workloads }) => `${name || 'all'} ${replicas} of ${workloads.length}`);
};

describe('Spot: which parts of a deployment follow the market', () => {
  test.each<[string, readonly PlacedCluster[], Partial<SharedOut>, string[]]>([
    ['a wish that names no cluster follows as a whole', [], {}, ['all 6 of 3']],
    ['each cluster of a wish follows with its share', [on('a', 2), on('b', 1)], {}, ['a 4 of 2', 'b 2 of 1']],
    ['what stands by does not', [on('a', 1), on('b', 1, 1)], {}, ['a 6 of 2']],
    [
      'one that is out of sight does not, and the others keep their share',
      [on('a', 2), on('b', 1)],
      { clusters: [cluster('a'), cluster('b', unseen)] },
      ['a 4 of 2'],
    ],
    [
      'the others take the share of one that is lost',
      [on('a', 2), on('b', 1)],
      { clusters: [cluster('a', { lostAt: 1 }), cluster('b')] },
      ['b 6 of 1'],
    ],
    [
      'who stands by follows once it is the first that is left',
      [on('a', 1), on('b', 1, 1)],
      { clusters: [cluster('a', { lostAt: 1 }), cluster('b')] },
      ['b 6 of 1'],
    ],
    ['none where all of it may be out of sight', [], { clusters: [cluster('a'), cluster('b', unseen)] }, []],
    ['none while a rollout is under way', [], { rollout: { endedAt: null } as Partial<Rollout> as Rollout }, []],
    ['none beside another revision', [], { live: [workload('a'), workload('b', 'p', 'r2')] }, []],
  ])('%s', (...[, clusters, more, expected]) => {
    expect(shares(clusters, more)).toEqual(expected);
  });
});
