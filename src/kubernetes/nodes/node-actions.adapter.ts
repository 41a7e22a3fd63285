import {
  StaleNodeFence,
  type NodeActions,
  type NodeFence,
  type NodePod,
  type ObservedNode,
} from '../../fleet/cluster-inventory.port.ts';
import { KubernetesError } from '../api/errors.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import { NODES, PODS } from '../api/resource.ts';
import type { EpochFence } from '../workloads/epoch-fence.ts';
import { ANNOTATIONS } from '../manifests/names.ts';
import { INTERRUPTION_ANNOTATION, RELEASING_ANNOTATION } from './node-state.ts';
import { Refusal } from '../workloads/refusal.ts';

/** Owner of the few fields of nodes and pods that are written here: they are given up by writing without them. */
const FIELD_MANAGER = 'purser-nodes';
/** Of what is only ever written: a machine that was announced to go is never kept. */
const NOTICE_MANAGER = 'purser-notices';
/** By this label a ReplicaSet knows its pods. */
const TEMPLATE_HASH = 'pod-template-hash';

export interface NodeActionsDeps {
  readonly api: Pick<KubernetesApi, 'apply' | 'delete'>;
  /** Of the loop of nodes, which has a leader of its own. */
  readonly fence: Pick<EpochFence, 'confirm'>;
}

type NodeRef = Pick<ObservedNode, 'uid' | 'name'>;
type PodRef = Pick<NodePod, 'uid' | 'namespace' | 'name'>;

/** What is done to nodes and to our pods on them. Every request names the uid: a thing that has come back under its name is another one. */
export class KubernetesNodeActions implements NodeActions {
  readonly #deps: NodeActionsDeps;

  constructor(deps: NodeActionsDeps) {
    this.#deps = deps;
  }

  cordon({ uid, name }: NodeRef, { epoch }: NodeFence): Promise<void> {
    const annotations = { [RELEASING_ANNOTATION]: 'true', [ANNOTATIONS.epoch]: String(epoch) };
    const metadata = { name, uid, annotations };
    return this.#fenced(epoch, () =>
      this.#deps.api.apply(NODES, { ...NODE, metadata, spec: { unschedulable: true } }, { fieldManager: FIELD_MANAGER }),
    );
  }

  uncordon({ uid, name }: NodeRef, { epoch }: NodeFence): Promise<void> {
    return this.#fenced(epoch, () =>
      this.#deps.api.apply(NODES, { ...NODE, metadata: { name, uid } }, { fieldManager: FIELD_MANAGER }),
    );
  }

  announce({ uid, name }: NodeRef, message: string, { epoch }: NodeFence): Promise<void> {
    const metadata = { name, uid, annotations: { [INTERRUPTION_ANNOTATION]: message } };
    return this.#fenced(epoch, () =>
      this.#deps.api.apply(NODES, { ...NODE, metadata, spec: { unschedulable: true } }, { fieldManager: NOTICE_MANAGER }),
    );
  }

  retire({ uid, namespace, name }: PodRef, { epoch }: NodeFence): Promise<void> {
    return this.#fenced(epoch, () => this.#deps.api.delete(PODS, { namespace, name }, { uid }));
  }

  release({ uid, namespace, name }: PodRef, { epoch }: NodeFence): Promise<void> {
    const metadata = { name, namespace, uid, labels: { [TEMPLATE_HASH]: 'released' } };
    return this.#fenced(epoch, () => this.#deps.api.apply(PODS, { ...POD, metadata }, { fieldManager: FIELD_MANAGER }));
  }

  forget({ uid, name }: NodeRef, { epoch }: NodeFence): Promise<void> {
    return this.#fenced(epoch, () => this.#deps.api.delete(NODES, { name }, { uid }));
  }

  async #fenced(epoch: number, act: () => Promise<unknown>): Promise<void> {
    try {
      await this.#deps.fence.confirm(epoch);
      await act();
    } catch (error) {
      if (error instanceof Refusal) throw new StaleNodeFence(error.message, { cause: error });
      // Another uid, or none at all: the thing that was meant is gone.
      if (error instanceof KubernetesError && error.status === 409) return;
      throw error;
    }
  }
}

const NODE = { apiVersion: 'v1', kind: 'Node' } as const;
const POD = { apiVersion: 'v1', kind: 'Pod' } as const;
