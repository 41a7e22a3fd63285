import type {
  ApplyResult,
  ClusterObservation,
  ClusterPort,
  LogPage,
  ObservedReplica,
  WorkloadSpec,
} from '../../src/deployments/cluster.port.ts';
import type { NodePod } from '../../src/fleet/cluster-inventory.port.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import type { Id } from '../../src/kernel/id.ts';
import type { SimulatedNodes } from './simulated-nodes.ts';

/** A cluster whose replicas are pods on simulated nodes: they start where there is room, and end with their machine. */
export class PodsCluster implements ClusterPort {
  readonly kind = 'simulated' as const;
  readonly #nodes: SimulatedNodes;
  readonly #clock: Clock;
  readonly #told = new Map<Id, WorkloadSpec>();
  readonly #replicas = new Map<Id, ObservedReplica>();

  constructor(nodes: SimulatedNodes, clock: Clock) {
    this.#nodes = nodes;
    this.#clock = clock;
  }

  apply(spec: WorkloadSpec): Promise<ApplyResult> {
    this.#told.set(spec.workloadId, spec);
    this.#nodes.want(spec.workloadId, spec.poolName, spec.replicas, spec.resources);
    return Promise.resolve({ outcome: 'applied' });
  }

  remove(workloadId: Id): Promise<ApplyResult> {
    const spec = this.#told.get(workloadId);
    if (spec) this.#nodes.want(workloadId, spec.poolName, 0, spec.resources);
    this.#told.delete(workloadId);
    return Promise.resolve({ outcome: 'applied' });
  }

  tidy = (): Promise<ApplyResult> => Promise.resolve({ outcome: 'unchanged' });
  changed = () => Promise.resolve();
  logs = (): Promise<LogPage> => Promise.resolve({ lines: [], cursor: '0' });

  async observe(): Promise<ClusterObservation> {
    const { nodes } = await this.#nodes.observeNodes();
    const observedAt = this.#clock.now();
    const bound = nodes.flatMap((node) => node.pods);
    for (const pod of bound) this.#replicas.set(pod.uid, this.#replicaOf(pod, observedAt));
    const there = new Set(bound.map(({ uid }) => uid));
    for (const [id, replica] of this.#replicas)
      if (!there.has(id) && replica.capacityUntil === null)
        this.#replicas.set(id, { ...replica, capacityUntil: observedAt, address: null });
    const workloads = [...this.#told.values()].map(({ workloadId, generation, replicas }) => ({
      ...{ workloadId, generation, replicas, specDigest: null, problem: null },
    }));
    return { observedAt, workloads, replicas: [...this.#replicas.values()] };
  }

  #replicaOf({ uid, workloadId, from, ready }: NodePod, now: number): ObservedReplica {
    const known = this.#replicas.get(uid);
    const first = [{ at: from, state: 'starting' as const, estimated: false }];
    const state = ready ? 'serving' : 'starting';
    const begun = known ? known.transitions : first;
    const isNew = ready && begun.length === 1;
    return {
      ...{
        replicaId: uid,
        workloadId: workloadId ?? '',
        revisionId: this.#revisionOf(workloadId ?? ''),
      },
      ...{ capacityFrom: from, capacityUntil: null, untilEstimated: false, state, address: ready ? '127.0.0.1:9' : null },
      ...{ restarts: 0, message: '', failing: false },
      transitions: isNew ? [...begun, { at: now, state, estimated: false }] : begun,
    };
  }

  readonly #revisions = new Map<Id, Id>();

  /** Also of workloads that were removed and still have pods. */
  #revisionOf(workloadId: Id): Id {
    const told = this.#told.get(workloadId);
    if (told) this.#revisions.set(workloadId, told.revisionId);
    return this.#revisions.get(workloadId) ?? '';
  }
}
