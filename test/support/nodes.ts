import type { Pool } from '../../src/fleet/cluster.ts';
import type { InventoryObservation, NodePod, ObservedNode, WaitingPod } from '../../src/fleet/cluster-inventory.port.ts';

export const NOW = 1_800_000_000_000;
/** An id that ends in this number. */
export const uid = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
export const small = { cpuMilli: 2_000, memoryMib: 4_096, accelerator: null };

/** A node of the pool `burst` with two CPUs and nothing on it. */
export const node = (n: number, more: Partial<ObservedNode> = {}): ObservedNode => ({
  ...{ uid: uid(n), name: `node${n}`, from: NOW - 3_600_000, capacity: small, allocatable: small },
  ...{ provider: null, instanceId: `i-${n}`, region: null, zone: null, instanceType: null, capacityType: null },
  ...{ pricePerHour: null, priceProblem: null, pool: 'burst', labels: {} },
  ...{ readiness: 'ready', readinessSince: NOW - 3_600_000, seenAt: NOW },
  ...{ schedulable: true, notice: null, releasing: false, pods: [] },
  ...more,
});

/** A replica of one workload that serves. */
export const pod = (n: number, more: Partial<NodePod> = {}): NodePod => ({
  ...{ uid: uid(1_000 + n), namespace: 'purser-acme', name: `pod${n}`, workloadId: uid(500), owner: 'ReplicaSet/x' },
  ...{ daemon: false, requests: { cpuMilli: 500, memoryMib: 256, accelerator: null }, from: NOW - 60_000 },
  ...{ endingSince: null, ready: true, replaced: true },
  ...more,
});

export const poolCalled = (name: string, n: number, nodeSelector: Record<string, string> = {}): Pool => ({
  ...{
    id: uid(n),
    clusterId: uid(80),
    name,
    capacityType: 'on_demand',
    offeringId: null,
    nodeSelector,
    version: 1,
    createdAt: 0,
    removedAt: null,
  },
});

export const seen = (nodes: ObservedNode[], waiting: WaitingPod[] = []): InventoryObservation => ({
  observedAt: NOW,
  nodes,
  waiting,
});
export const notice = { source: 'purser.dev/interruption', message: 'Taken away.', at: null };
