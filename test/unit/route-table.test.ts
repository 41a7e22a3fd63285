// Tables: rows of the database, and what routers are told of them. Pure functions, no I/O.
import { describe, expect, test } from 'vitest';
import type { Deployment } from '../../src/deployments/deployment.ts';
import { makeRouteTable } from '../../src/deployments/make-route-table.ts';
import type { Replica, Workload } from '../../src/deployments/replica.ts';
import type { Revision } from '../../src/deployments/revision.ts';

const owner = { teamId: 't', projectId: 'p' };

const deployment: Deployment = {
  ...{ ...owner, id: 'd', teamName: 'acme', projectName: 'demo', name: 'digits' },
  ...{ generation: 1, version: 1, observedGeneration: 1, phase: 'READY', conditions: [] },
  ...{ createdAt: 0, createdBy: 'x', updatedAt: 0, deletedAt: null, goneAt: null },
  spec: {
    ...{ model: 'digits', version: { latest: true }, replicas: 1, resources: null, concurrency: 1 },
    ...{ deadlineMs: 1, queueLimit: 1, retryable: false, hosts: [], maxReplicas: 9, maxSpendPerHour: 1n },
    placement: { regions: [], capacityTypes: [] },
    traffic: [
      { revision: 1, weight: 60 },
      { revision: 2, weight: 40 },
    ],
  },
};

const workload: Workload = {
  ...{ ...owner, id: 'w', deploymentId: 'd', revisionId: 'rev1', clusterId: 'c', offeringId: 'o' },
  ...{
    poolId: 'pool',
    poolName: 'default',
    clusterName: 'c',
    seenGeneration: null,
    seenProblem: null,
    capacityType: 'on_demand' as const,
    nodeSelector: {},
  },
  ...{ replicas: 1, generation: 1, createdAt: 0, removedAt: null, goneAt: null },
};

const serving: Replica = {
  ...{ ...owner, id: 'x', deploymentId: 'd', revisionId: 'rev1', workloadId: 'w', clusterId: 'c', offeringId: 'o' },
  ...{ state: 'serving', address: 'h:1', capacityFrom: 10, capacityUntil: null, untilEstimated: false },
  ...{ observedAt: 20, lastEvidenceAt: 20, restarts: 0, message: '', transitions: 1, stateSince: 10 },
};

describe('Route table: from rows', () => {
  const spec = {
    modelVersionNumber: 1,
    runtime: { format: 'onnx' as const },
    artifactDigest: null,
    resources: { cpuMilli: 1, memoryMib: 1, accelerator: null },
    protocol: 'oip' as const,
    retryable: false,
  };
  const revision = (number: number): Revision => ({
    ...{
      id: `rev${number}`,
      teamId: 't',
      projectId: 'p',
      deploymentId: 'd',
      number,
      modelId: 'm',
      modelVersionId: 'v',
      spec,
      concurrency: 1,
      createdAt: 0,
      createdBy: 'x',
    },
  });
  const onlySecond = { ...deployment, spec: { ...deployment.spec, traffic: [{ revision: 2, weight: 100 }] } };
  const route = (more: Partial<Parameters<typeof makeRouteTable>[0]>) =>
    makeRouteTable({
      ...{
        deployments: [deployment],
        deleted: [],
        revisions: [revision(1), revision(2)],
        rollouts: [],
        workloads: [workload],
        replicas: [serving],
      },
      ...{ rates: new Map([['o', 5n]]), credentials: [], issuers: [] },
      ...{ clusterNames: new Map(), unreachable: new Set<string>(), startsMs: new Map() },
      ...more,
    }).deployments[0];
  const table = (more: Parameters<typeof route>[0]) =>
    route(more)?.revisions.map(({ number, weight, replicas }) => `${number}:${weight}×${replicas.length}`);

  test.each<[string, Parameters<typeof table>[0], string[]]>([
    ['the share of a revision without replicas goes to those that serve', {}, ['1:100×1', '2:0×0']],
    ['nobody serves: shares stay', { replicas: [] }, ['1:60×0', '2:40×0']],
    ['nobody with a share serves, another still does', { deployments: [onlySecond] }, ['1:100×1', '2:0×0']],
    [
      'both serve',
      { replicas: [serving, { ...serving, id: 'y', revisionId: 'rev2', workloadId: 'w2', address: 'h:2' }] },
      ['1:60×1', '2:40×1'],
    ],
    ['a draining replica is out', { replicas: [{ ...serving, state: 'draining' }] }, ['1:60×0', '2:40×0']],
    ['a workload that is being given up is out at once', { workloads: [{ ...workload, removedAt: 1 }] }, ['1:60×0', '2:40×0']],
    ['a given-up slot is out', { replicas: [{ ...serving, capacityUntil: 5 }] }, ['1:60×0', '2:40×0']],
  ])('%s', (_name, more, wanted) => {
    expect(table(more)).toEqual(wanted);
  });

  test('the order of rows does not matter', () => {
    const other = { ...serving, id: 'a' };
    expect(table({ replicas: [serving, other] })).toEqual(
      table({ replicas: [other, serving], revisions: [revision(2), revision(1)] }),
    );
  });
  test('of two replicas at one address the one that came last is there', () => {
    const later = { ...serving, id: 'b', capacityFrom: serving.capacityFrom + 1 };
    const ids = (replicas: Replica[]) => route({ replicas })?.revisions[0]?.replicas.map(({ replicaId }) => replicaId);
    expect([ids([serving, later]), ids([later, serving])]).toEqual([['b'], ['b']]);
    expect(ids([serving, { ...later, clusterId: 'far' }])).toEqual(['b', 'x']);
  });

  describe('clusters', () => {
    const clusterNames = new Map([
      ['c', 'near'],
      ['far', 'far'],
    ]);
    const replicas = [
      serving,
      { ...serving, id: 'y', clusterId: 'far' },
      { ...serving, id: 'z', clusterId: 'far', address: 'h:2' },
    ];
    const placedOn = (...clusters: { cluster: string; weight: number; order: number }[]) => ({
      clusterNames,
      replicas,
      deployments: [{ ...deployment, spec: { ...deployment.spec, placement: { ...deployment.spec.placement, clusters } } }],
    });
    const groups = (more: Parameters<typeof route>[0]) =>
      route({ clusterNames, replicas, ...more })?.groups?.map(({ name, weight, order }) => `${name} ${weight} @${order}`);
    const near = { cluster: 'near', weight: 3, order: 0 };
    const far = { cluster: 'far', weight: 1, order: 1 };

    test.each<[string, Parameters<typeof route>[0], string[] | undefined]>([
      ['nothing is wished of clusters: all replicas are alike', {}, undefined],
      ['share and order as wished', placedOn(near, far), ['far 1 @1', 'near 3 @0']],
      ['one that is not named any more comes last', placedOn(near), ['far 0 @0', 'near 3 @0']],
      ['one without replicas is left out', { ...placedOn(near, far), replicas: [serving] }, ['near 3 @0']],
      [
        'one out of sight is behind all others',
        { ...placedOn(near, far), unreachable: new Set(['c']) },
        ['far 1 @1', 'near 3 @2'],
      ],
      [
        'one out of sight, nothing wished: the others count by their replicas',
        { unreachable: new Set(['c']) },
        ['far 2 @0', 'near 1 @1'],
      ],
      ['all out of sight: shared as before', { unreachable: new Set(['c', 'far']) }, ['far 2 @1', 'near 1 @1']],
    ])('%s', (_name, more, wanted) => {
      expect(groups(more)).toEqual(wanted);
    });

    test('what runs where nobody can look stays in the table, and each replica says where it is', () => {
      const [only] = route({ clusterNames, replicas, unreachable: new Set(['c', 'far']) })?.revisions ?? [];
      expect(only?.replicas.map(({ replicaId, group }) => `${replicaId} ${group}`)).toEqual(['x near', 'y far', 'z far']);
      expect(route({ clusterNames, replicas })?.revisions[0]?.replicas[0]).not.toHaveProperty('group');
    });
  });

  describe('nobody serves yet', () => {
    const asleep = { replicas: [], workloads: [{ ...workload, replicas: 0 }] };
    const starting = { ...serving, state: 'starting' as const, address: null };
    const startsMs = new Map([['d', 700]]);
    test.each<[string, Parameters<typeof route>[0], unknown]>([
      ['a replica serves', { startsMs }, undefined],
      ['none is wished', { ...asleep, startsMs }, { wished: 0, since: null, etaMs: null }],
      ['the last one is being given up', { ...asleep, replicas: [starting] }, { wished: 0, since: null, etaMs: null }],
      ['one is wished', { replicas: [] }, { wished: 1, since: null, etaMs: null }],
      ['one starts', { replicas: [starting], startsMs }, { wished: 1, since: 10, etaMs: 700 }],
      [
        'starts are known to fail',
        { replicas: [starting], deployments: [{ ...deployment, phase: 'FAILED' as const }] },
        undefined,
      ],
    ])('%s', (_name, more, wanted) => {
      expect(route(more)?.wake).toEqual(wanted);
    });
  });
});
