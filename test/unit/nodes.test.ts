// Builds nodes and pods as plain values and looks at what the pure cores read of them and decide.
import { describe, expect, test } from 'vitest';
import type { WaitingPod, ObservedNode } from '../../src/fleet/cluster-inventory.port.ts';
import { nodeChanged } from '../../src/fleet/node.events.ts';
import type { ClusterNode } from '../../src/fleet/node.ts';
import { observeNodes, type NodeChange, type NodesInput } from '../../src/fleet/observe-nodes.ts';
import { planDepartures } from '../../src/fleet/plan-departures.ts';
import type { Node, Pod } from '../../src/kubernetes/api/objects.ts';
import { readSummary } from '../../src/kubernetes/nodes/inventory.adapter.ts';
import { observedNode } from '../../src/kubernetes/nodes/node-facts.ts';
import { nodePod, waitingPod } from '../../src/kubernetes/nodes/node-pods.ts';
import { requestsOf } from '../../src/kubernetes/nodes/node-resources.ts';
import { drainingBecauseOfNodes, hindranceOf, noticeOf } from '../../src/kubernetes/nodes/node-state.ts';
import { cpuMilliOf, memoryMibAsked, memoryMibThere, readQuantity } from '../../src/kubernetes/manifests/quantity.ts';
import { node, notice, NOW, pod, poolCalled, seen, uid } from '../support/nodes.ts';

describe('Spot and nodes: what is read of them', () => {
  test.each([
    ['250m', 250, null],
    ['1.5', 1_500, null],
    ['0.3', 300, null],
    ['2e1', 20_000, null],
    ['100n', 1, null],
    ['1Gi', null, 1_024],
    ['1500M', null, 1_430],
    ['128974848', null, 123],
  ])('the quantity %s', (text, milli, mib) => {
    if (milli !== null) expect(cpuMilliOf(text)).toBe(milli);
    if (mib !== null) expect(memoryMibThere(text)).toBe(mib);
  });

  test('what is no quantity counts as nothing; memory that is asked for is rounded up', () => {
    expect([readQuantity('many'), readQuantity('1.2.3'), cpuMilliOf(undefined), cpuMilliOf('-1')]).toEqual([null, null, 0, 0]);
    expect(memoryMibAsked('1500M')).toBe(1_431);
  });

  const kubernetesNode = (more: { labels?: object; annotations?: object; spec?: object; ready?: string } = {}): Node =>
    ({
      metadata: {
        ...{ name: 'ip-10-0-0-1', uid: uid(1), resourceVersion: '1', creationTimestamp: '2026-11-21T10:00:00Z' },
        ...{ labels: more.labels ?? {}, annotations: more.annotations ?? {} },
      },
      spec: more.spec ?? {},
      status: {
        capacity: { cpu: '4', memory: '16Gi', 'nvidia.com/gpu': '2' },
        allocatable: { cpu: '3920m', memory: '15Gi', 'nvidia.com/gpu': '2' },
        conditions: [
          {
            ...{ type: 'Ready', status: more.ready ?? 'True' },
            ...{ lastTransitionTime: '2026-11-21T10:01:00Z', lastHeartbeatTime: '2026-11-21T11:00:00Z' },
          },
        ],
      },
    }) as Node;

  test('one whose type says less than it has is what its pool says', () => {
    const own = { 'node.kubernetes.io/instance-type': 'n1-standard-4' };
    const soldAs = { ...own, 'purser.dev/instance-type': 'n1-standard-4_nvidia-tesla-t4x2' };
    expect([own, soldAs].map((labels) => observedNode(kubernetesNode({ labels }), []).instanceType)).toEqual([
      ...['n1-standard-4', 'n1-standard-4_nvidia-tesla-t4x2'],
    ]);
  });

  test('where it is, what it is sold as and what it costs, from labels, provider id and annotation', () => {
    const labels = {
      'node.kubernetes.io/instance-type': 'g5.12xlarge',
      'topology.kubernetes.io/region': 'us-east-1',
      'topology.kubernetes.io/zone': 'us-east-1a',
      'karpenter.sh/capacity-type': 'spot',
      'nvidia.com/gpu.product': 'NVIDIA-A10G',
      'nvidia.com/gpu.memory': '23028',
      'purser.dev/pool': 'gpu',
    };
    const annotations = { 'purser.dev/price-per-hour': '1.25' };
    const read = observedNode(kubernetesNode({ labels, annotations, spec: { providerID: 'aws:///us-east-1a/i-0abc' } }), []);
    expect(read).toMatchObject({
      ...{ provider: 'aws', instanceId: 'i-0abc', region: 'us-east-1', zone: 'us-east-1a', instanceType: 'g5.12xlarge' },
      ...{ capacityType: 'spot', pricePerHour: 1_250_000_000_000n, pool: 'gpu', schedulable: true, readiness: 'ready' },
      capacity: { cpuMilli: 4_000, memoryMib: 16_384, accelerator: { model: 'A10G', countMilli: 2_000, memoryMib: 23_028 } },
      allocatable: { cpuMilli: 3_920, memoryMib: 15_360 },
    });
  });

  test('a machine of a scale set of Azure is told from one of another', () => {
    const providerID =
      'azure:///subscriptions/1/resourceGroups/mc/providers/Microsoft.Compute/virtualMachineScaleSets/aks-p1-12-vmss/virtualMachines/0';
    const read = observedNode(kubernetesNode({ spec: { providerID } }), []);
    expect(read).toMatchObject({ provider: 'azure', instanceId: 'aks-p1-12-vmss_0' });
  });

  test.each(['1,25', '$2', '-1', '', 'free', '1e3', '1000000001', `9${'9'.repeat(40)}`])(
    'the price %j is none: it is said of which annotation, with its value and what to write instead',
    (value) => {
      const { pricePerHour, priceProblem } = observedNode(
        kubernetesNode({ annotations: { 'purser.dev/price-per-hour': value } }),
        [],
      );
      expect(pricePerHour).toBeNull();
      expect(priceProblem).toContain(`purser.dev/price-per-hour of the node says ${JSON.stringify(value).slice(0, 30)}`);
      expect(priceProblem).toContain('kubectl annotate node ip-10-0-0-1 --overwrite purser.dev/price-per-hour=1.25');
      expect(priceProblem?.length).toBeLessThan(500);
    },
  );

  test.each(['0', '1000000000', '0.000000000001', undefined])('nothing stands against the price %j', (value) => {
    const annotations = value === undefined ? {} : { 'purser.dev/price-per-hour': value };
    expect(observedNode(kubernetesNode({ annotations }), []).priceProblem).toBeNull();
  });

  test.each([
    [{ 'purser.dev/capacity-type': 'spot' }, 'spot'],
    [{ 'purser.dev/capacity-type': 'on_demand' }, 'on_demand'],
    [{ 'purser.dev/capacity-type': 'reserved' }, 'reserved'],
    [{ 'eks.amazonaws.com/capacityType': 'SPOT' }, 'spot'],
    [{ 'eks.amazonaws.com/capacityType': 'ON_DEMAND' }, 'on_demand'],
    [{ 'cloud.google.com/gke-spot': 'true' }, 'spot'],
    [{ 'kubernetes.azure.com/scalesetpriority': 'spot' }, 'spot'],
    [{}, null],
  ])('labels %j mean %s', (labels, expected) => {
    expect(observedNode(kubernetesNode({ labels }), []).capacityType).toBe(expected);
  });

  test.each([
    'purser.dev/interruption',
    'karpenter.sh/disrupted',
    'aws-node-termination-handler/spot-itn',
    'cloud.google.com/impending-node-termination',
    'ToBeDeletedByClusterAutoscaler',
    'node.kubernetes.io/out-of-service',
  ])('the taint %s is a notice', (key) => {
    expect(noticeOf(kubernetesNode({ spec: { taints: [{ key, effect: 'NoSchedule' }] } }))?.source).toBe(key);
  });

  test('other taints are none; a node that nobody hears of is unknown, whatever else it says', () => {
    expect(noticeOf(kubernetesNode({ spec: { taints: [{ key: 'dedicated', value: 'x', effect: 'NoSchedule' }] } }))).toBeNull();
    const lost = kubernetesNode({
      ready: 'Unknown',
      spec: { taints: [{ key: 'karpenter.sh/disrupted', effect: 'NoSchedule' }] },
    });
    expect(observedNode(lost, []).readiness).toBe('unknown');
    expect(hindranceOf(lost)?.kind).toBe('unknown');
  });

  test('a pod asks for its containers together, or for the greediest step of its start', () => {
    const asks = (cpu: string, memory: string) => ({ name: 'c', resources: { requests: { cpu, memory } } });
    const spec = {
      containers: [asks('500m', '256Mi'), { name: 'd', resources: { limits: { cpu: '100m', 'nvidia.com/gpu': '1' } } }],
      initContainers: [asks('2', '64Mi'), { ...asks('50m', '32Mi'), restartPolicy: 'Always' }],
      overhead: { cpu: '10m' },
    };
    expect(requestsOf({ metadata: { name: 'p', uid: '', resourceVersion: '' }, spec })).toEqual({
      ...{ cpuMilli: 2_010, memoryMib: 288 },
      accelerator: { model: '', countMilli: 1_000, memoryMib: 0 },
    });
  });

  test('whose a pod is, whether something replaces it, and what waits', () => {
    const labels = { 'purser.dev/installation': 'here', 'purser.dev/workload': uid(7) };
    const made = { name: 'p', namespace: 'n', uid: uid(8), resourceVersion: '1', creationTimestamp: '2026-11-21T10:00:00Z' };
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'x', uid: uid(9), controller: true };
    const ours = { metadata: { ...made, labels, ownerReferences: [owner] }, spec: { containers: [], nodeName: 'a' } } as Pod;
    expect(nodePod(ours, 'here')).toMatchObject({ workloadId: uid(7), replaced: true, owner: 'ReplicaSet/x', daemon: false });
    expect(nodePod(ours, 'elsewhere').workloadId).toBeNull();
    const tolerations = [{ key: 'purser.dev/pool', operator: 'Equal', value: 'burst' }];
    const conditions = [{ type: 'PodScheduled', status: 'False', message: '0/2 nodes are available' }];
    const waits = { metadata: { ...made, labels }, spec: { containers: [], tolerations }, status: { conditions } } as Pod;
    expect(waitingPod(waits, 'here')).toMatchObject({ pool: 'burst', message: '0/2 nodes are available', workloadId: uid(7) });
    expect([waitingPod(ours, 'here'), waitingPod(waits, 'elsewhere')]).toEqual([null, null]);
  });

  test("a kubelet's summary is taken as it is; other text is refused", () => {
    const cpu = { time: '2026-11-21T10:00:00Z', usageCoreNanoSeconds: 1_234_567 };
    const pods = [
      { podRef: { uid: uid(1) }, cpu, memory: { time: cpu.time, workingSetBytes: 1_048_577 } },
      { podRef: { uid: uid(2) } },
    ];
    expect(readSummary(JSON.stringify({ pods }))).toEqual([
      { uid: uid(1), at: Date.parse(cpu.time), cpuUs: 1_234, memoryMib: 2 },
    ]);
    expect(() => readSummary('{"pods": 1}')).toThrow();
    expect(() => readSummary('<html>')).toThrow();
  });
});

describe('Spot and nodes: which pods drain because their nodes will leave', () => {
  const raw = (taints: { key: string; effect: string }[] = []): Node => ({
    metadata: { name: 'x', uid: uid(1), resourceVersion: '1' },
    spec: { taints },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  });
  const doomed = raw([{ key: 'purser.dev/interruption', effect: 'NoSchedule' }]);
  const one = (id: string, at: Node, routable = true, workloadId = 'w') => ({ uid: id, workloadId, routable, node: at });

  test('at once where another one serves, and not before where none does', () => {
    expect([...drainingBecauseOfNodes([one('a', doomed), one('b', raw())]).keys()]).toEqual(['a']);
    expect([...drainingBecauseOfNodes([one('a', doomed), one('b', raw(), false)]).keys()]).toEqual([]);
    expect([...drainingBecauseOfNodes([one('a', doomed), one('b', raw(), true, 'other')]).keys()]).toEqual([]);
    expect([...drainingBecauseOfNodes([one('a', doomed), one('b', doomed), one('c', raw())]).keys()]).toEqual(['a', 'b']);
  });
});

describe('Spot and nodes: pods leave a node that will leave', () => {
  const plan = (nodes: ObservedNode[], alone = new Map<string, number>(), waiting: WaitingPod[] = []) =>
    planDepartures(seen(nodes, waiting), alone, NOW).departures.map(({ kind, pod: { name } }) => `${kind} ${name}`);

  test('it retires where another one serves elsewhere', () => {
    expect(plan([node(1, { notice, pods: [pod(1)] }), node(2, { pods: [pod(2)] })])).toEqual(['retire pod1']);
  });

  test('the last one that serves is released first, and retires when its successor serves', () => {
    expect(plan([node(1, { notice, pods: [pod(1)] }), node(2)])).toEqual(['release pod1']);
    const released = node(1, { notice, pods: [pod(1, { replaced: false })] });
    expect(plan([released, node(2, { pods: [pod(2, { ready: false })] })])).toEqual([]);
    expect(plan([released, node(2, { pods: [pod(2)] })])).toEqual(['retire pod1']);
  });

  test('one that does not serve yet starts elsewhere at once', () => {
    expect(plan([node(1, { notice, pods: [pod(1, { ready: false })] })])).toEqual(['retire pod1']);
  });

  test('a released one goes when nothing makes its successor, for a quota that it fills itself, but not at once', () => {
    const nodes = [node(1, { notice, pods: [pod(1, { replaced: false })] })];
    expect(planDepartures(seen(nodes), new Map(), NOW)).toEqual({ departures: [], alone: [uid(1_001)] });
    expect(plan(nodes, new Map([[uid(1_001), NOW - 29_000]]))).toEqual([]);
    expect(plan(nodes, new Map([[uid(1_001), NOW - 30_000]]))).toEqual(['retire pod1']);
  });

  test.each([
    ['foreign ones', node(1, { notice, pods: [pod(1, { workloadId: null })] })],
    ['those that end already', node(1, { notice, pods: [pod(1, { endingSince: NOW })] })],
    ['those on a node that nobody hears of', node(1, { notice, readiness: 'unknown', pods: [pod(1)] })],
    ['those on a cordoned node', node(1, { schedulable: false, pods: [pod(1)] })],
  ])('%s are left alone', (_, doomed) => {
    expect(plan([doomed, node(2, { pods: [pod(2)] })])).toEqual([]);
  });

  test('a successor on a node that nobody hears of serves nobody', () => {
    expect(plan([node(1, { notice, pods: [pod(1)] }), node(2, { readiness: 'unknown', pods: [pod(2)] })])).toEqual([
      'release pod1',
    ]);
  });
});

describe('Spot and nodes: their rows', () => {
  const pool = poolCalled('burst', 90, { tier: 'burst' });
  const input = (nodes: ObservedNode[] | null, known: ClusterNode[] = [], seenAt: number | null = NOW - 1_000): NodesInput => ({
    ...{ clusterId: uid(80), observation: nodes && seen(nodes), known, pools: [pool], offerings: new Set(), seenAt },
  });
  const [first] = observeNodes(input([node(1, { pods: [pod(1), pod(2, { daemon: true })] })]));
  const row = first?.after as ClusterNode;

  test('a new node has a row, with its pool and without its daemons; the same again changes nothing', () => {
    expect(row).toMatchObject({ id: uid(1), poolId: pool.id, pods: 1, idleSince: null, capacityType: 'on_demand', version: 1 });
    const again = observeNodes(input([node(1, { seenAt: NOW + 5, pods: [pod(1), pod(2, { daemon: true })] })], [row]));
    expect(again).toEqual([]);
  });

  test('by its labels it belongs to the pool whose selector says the most', () => {
    const wide = { ...pool, id: uid(91), name: 'any', nodeSelector: {} };
    const poolsOf = (labels: Record<string, string>) =>
      observeNodes({ ...input([node(1, { pool: null, labels })]), pools: [wide, pool] }).map(({ after }) => after.poolId);
    expect([poolsOf({ tier: 'burst' }), poolsOf({})]).toEqual([[pool.id], [wide.id]]);
  });

  test('it is idle since its last pod has gone, and that is remembered', () => {
    const [idle] = observeNodes(input([node(1)], [row]));
    expect(idle?.after.idleSince).toBe(NOW);
    expect(
      observeNodes({
        ...input([node(1)], [idle?.after as ClusterNode]),
        observation: { ...seen([node(1)]), observedAt: NOW + 9 },
      }),
    ).toEqual([]);
  });

  test('without an observation nothing changes; a node that is not in a whole one is gone', () => {
    expect(observeNodes(input(null, [row]))).toEqual([]);
    expect(observeNodes(input([], [row]))[0]?.after).toMatchObject({ until: NOW, untilEstimated: false });
    expect(observeNodes(input([], [row], null))[0]?.after).toMatchObject({ until: row.observedAt, untilEstimated: true });
    expect(observeNodes(input([], [row], NOW - 100_000))[0]?.after).toMatchObject({ untilEstimated: true });
  });

  test('a node that comes back under its name is another one', () => {
    const changes = observeNodes(input([node(2, { name: 'node1' })], [row]));
    expect(changes.map(({ before, after }) => [before?.id ?? null, after.id, after.until])).toEqual([
      [null, uid(2), null],
      [uid(1), uid(1), NOW],
    ]);
  });

  test.each([
    ['node.interrupted', { notice }],
    ['node.unreachable', { readiness: 'unknown' as const }],
    ['node.not_ready', { readiness: 'not_ready' as const }],
    ['node.cordoned', { schedulable: false }],
    ['node.price_refused', { priceProblem: 'It says "free".' }],
    [null, { pods: [] }],
  ])('its story says %s', (type, more) => {
    const [change] = observeNodes(input([node(1, { pods: [pod(1)], ...more })], [row]));
    const event = change && nodeChanged(change, { name: 'edge' }, { at: NOW, principal: 'x' });
    expect(event?.type ?? null).toBe(type);
  });

  test('one that joins with a price that is none says so, and says when it is mended', () => {
    const told = (change: NodeChange | undefined) => change && nodeChanged(change, { name: 'edge' }, { at: NOW, principal: 'x' });
    const [joined] = observeNodes(input([node(1, { priceProblem: 'It says "free".' })]));
    expect(told(joined)).toMatchObject({
      type: 'node.added',
      severity: 'warning',
      message: expect.stringContaining('It says "free".') as string,
    });
    const [mended] = observeNodes(input([node(1, { pricePerHour: 1n })], [joined!.after]));
    expect(told(mended)).toMatchObject({ type: 'node.price_accepted', severity: 'info' });
  });
});
