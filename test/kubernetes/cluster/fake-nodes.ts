// Nodes for machines where real ones cannot start: they say that they are Ready, and that every pod bound to them runs. Nothing runs.
import { ApiClient, isStatus, type ApiObject } from './api.ts';
import { log } from './machine.ts';
import type { NodeShape } from './node-settings.ts';

/** A pod is Ready about this long after it was bound. */
const LOOK_MS = 250;
/** The controller manager gives a node up after eight seconds. */
const BEAT_MS = 2_000;

interface Container {
  readonly name: string;
  readonly image: string;
}

export class FakeNodes {
  readonly #api: ApiClient;
  readonly #names = new Set<string>();
  readonly #timers: NodeJS.Timeout[] = [];
  #busy: Promise<void> = Promise.resolve();
  #address = 0;

  private constructor(api: ApiClient) {
    this.#api = api;
  }

  static async start(kubeconfig: string, shapes: readonly NodeShape[]): Promise<FakeNodes> {
    const nodes = new FakeNodes(await ApiClient.of(kubeconfig));
    for (const [index, shape] of shapes.entries()) await nodes.#add(`node${index + 1}`, shape);
    nodes.#every(LOOK_MS, () => nodes.#look());
    nodes.#every(BEAT_MS, () => nodes.#beat());
    return nodes;
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#busy;
    await this.#api.close();
  }

  /** One after the other, and an error is only told: the next look tries again. */
  #every(ms: number, act: () => Promise<void>): void {
    let waiting = false;
    const step = () => {
      if (waiting) return;
      waiting = true;
      this.#busy = this.#busy
        .then(() => {
          waiting = false;
          return act();
        })
        .catch((error: unknown) => log(`pretended nodes: ${String(error)}`));
    };
    this.#timers.push(setInterval(step, ms));
  }

  async #add(name: string, shape: NodeShape): Promise<void> {
    const labels = { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', ...shape.labels };
    const spec = { ...(shape.taints && { taints: shape.taints }), ...(shape.providerId && { providerID: shape.providerId }) };
    await this.#api.create('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, spec });
    await this.#api.create('/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name },
      spec: { holderIdentity: name, leaseDurationSeconds: 8, renewTime: microTime() },
    });
    this.#names.add(name);
    await this.#tellReady(name);
  }

  async #tellReady(name: string): Promise<void> {
    const resources = { cpu: '4', memory: '16Gi', pods: '110', 'ephemeral-storage': '100Gi' };
    const now = new Date().toISOString();
    const times = { lastHeartbeatTime: now, lastTransitionTime: now };
    const conditions = [{ type: 'Ready', status: 'True', reason: 'Pretended', message: 'no kubelet runs here', ...times }];
    await this.#api.patch(`/api/v1/nodes/${name}/status`, {
      status: { capacity: resources, allocatable: resources, conditions },
    });
  }

  async #beat(): Promise<void> {
    for (const name of this.#names) {
      const path = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${name}`;
      await this.#api.patch(path, { spec: { renewTime: microTime() } });
    }
  }

  async #look(): Promise<void> {
    const pods = await this.#api.list('/api/v1/pods?limit=5000');
    for (const pod of pods) {
      if (!this.#names.has(String(pod.spec?.['nodeName']))) continue;
      await this.#act(pod).catch((error: unknown) => {
        if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
      });
    }
  }

  async #act(pod: ApiObject): Promise<void> {
    const path = `/api/v1/namespaces/${pod.metadata.namespace ?? ''}/pods/${pod.metadata.name}`;
    if (pod.metadata.deletionTimestamp !== undefined) return this.#api.delete(path, { gracePeriodSeconds: 0 });
    if (pod.status?.['phase'] !== 'Pending') return;
    await this.#api.patch(`${path}/status`, { status: this.#running(pod) });
  }

  #running(pod: ApiObject): object {
    const now = new Date().toISOString();
    const conditions = ['Initialized', 'Ready', 'ContainersReady'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime: now,
    }));
    const scheduled = ((pod.status?.['conditions'] ?? []) as { type: string }[]).filter(({ type }) => type === 'PodScheduled');
    const containerStatuses = (pod.spec?.['containers'] as Container[]).map(({ name, image }) => ({
      ...{ name, image, imageID: image, ready: true, started: true, restartCount: 0 },
      containerID: `pretended://${pod.metadata.uid ?? ''}/${name}`,
      state: { running: { startedAt: now } },
    }));
    this.#address = (this.#address + 1) % 250;
    const podIP = `192.0.2.${this.#address + 1}`;
    const running = { phase: 'Running', startTime: now, hostIP: '192.0.2.254', podIP, podIPs: [{ ip: podIP }] };
    return { ...running, conditions: [...scheduled, ...conditions], containerStatuses };
  }
}

const microTime = (): string => new Date().toISOString().replace('Z', '000Z');
