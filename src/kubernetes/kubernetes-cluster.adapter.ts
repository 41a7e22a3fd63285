import type {
  ApplyResult,
  ClusterObservation,
  ClusterPort,
  Fence,
  LogPage,
  ObservedReplica,
  WorkloadSpec,
} from '../deployments/cluster.port.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import type { Random } from '../kernel/random.ts';
import type { Logger } from '../telemetry/logger.ts';
import { AdoptedPods } from './replicas/adopted-pods.ts';
import { AdoptedWriter } from './workloads/adopted-writer.ts';
import type { KubernetesApi } from './api/kubernetes-api.ts';
import { ClusterCaches, type HeldDeployment } from './cluster-caches.ts';
import { EpochFence } from './workloads/epoch-fence.ts';
import type { ManifestSettings } from './manifests/manifest-settings.ts';
import { LABELS } from './manifests/names.ts';
import { ObjectWriter } from './workloads/object-writer.ts';
import { podLogs, type LogOptions } from './replicas/pod-logs.ts';
import { answerOf, unreachable } from './workloads/refusal.ts';
import { stateOf, type ReplicaRecord } from './replicas/replica-history.ts';
import { ReplicaWatch, type NodeOf } from './replicas/replica-watch.ts';
import { SharedTidier } from './workloads/shared-tidier.ts';
import { toldSpec } from './workloads/told-spec.ts';
import type { CacheLimits } from './watch/resource-cache.ts';
import { WorkloadState } from './workloads/workload-state.ts';
import { WorkloadWriter } from './workloads/workload-writer.ts';

export interface KubernetesClusterOptions extends ManifestSettings {
  readonly api: KubernetesApi;
  /** Where the installation keeps its own objects, such as its fence. */
  readonly systemNamespace: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Nodes as somebody else watches them, so that replicas on those that will leave drain; null for nodes that are not known. */
  readonly nodeOf?: NodeOf;
  readonly limits?: Partial<CacheLimits>;
}

/** Changes other than of endpoints are told this late, together. Higher: they are noticed late; lower: a pod that gets ready is looked at twice. */
const SOON_MS = 25;

/** A Kubernetes cluster behind the cluster port: watched, changed by server-side apply, fenced by epochs. */
export class KubernetesCluster implements ClusterPort {
  readonly kind = 'kubernetes';
  readonly #options: KubernetesClusterOptions;
  readonly #caches: ClusterCaches;
  readonly #watch: ReplicaWatch;
  readonly #state: WorkloadState;
  readonly #writer: WorkloadWriter;
  readonly #adoptedPods: AdoptedPods;
  readonly #waiting = new Set<() => void>();
  /** Uids of what we deleted, until the watch has told us so. */
  readonly #removed = new Set<string>();
  readonly #tidier: SharedTidier;
  #soon: NodeJS.Timeout | null = null;
  #version = 1;
  /** The version that whoever waits for changes was told of, and the one that was observed. */
  #told = 1;
  #seen = 0;
  /** What was asked for when nothing was left over, in which state: while neither changes nothing can be. */
  #tidied = '';

  constructor(options: KubernetesClusterOptions) {
    const { api, installation, systemNamespace, clock, random, nodeOf = () => null } = options;
    this.#options = options;
    const caches = new ClusterCaches(options);
    this.#caches = caches;
    this.#watch = new ReplicaWatch({ caches, clock, nodeOf });
    this.#adoptedPods = new AdoptedPods(caches, this.#watch, () => this.#changed());
    this.#state = new WorkloadState(caches, options);
    const fence = new EpochFence({ api, installation, namespace: systemNamespace });
    const shared = { api, caches, fence, settings: options, state: this.#state };
    const objects = new ObjectWriter({ api, fence, installation, random });
    const adopted = new AdoptedWriter({ ...shared, objects, clock });
    this.#writer = new WorkloadWriter({ ...shared, objects, adopted, clock, podsOf: (id) => this.#watch.podsOf(id) });
    this.#tidier = new SharedTidier({ caches, fence, objects, settings: options });
    caches.onChange(() => this.#changedSoon());
    // Where requests may go is told in them, last of all that is told of a pod.
    caches.endpointSlices.onChange(() => this.#changed());
  }

  /** Begins to watch. */
  start(): void {
    this.#caches.start();
  }

  /** Ends watching; the cluster goes on as it is. */
  async stop(): Promise<void> {
    if (this.#soon) clearTimeout(this.#soon);
    await Promise.all([this.#caches.stop(), this.#adoptedPods.stop()]);
    this.#changed();
  }

  /** Something was said about nodes: replicas on those that leave drain. */
  nodesChanged(): void {
    this.#watch.nodesChanged();
    this.#changed();
  }

  apply(workload: WorkloadSpec, fence: Fence): Promise<ApplyResult> {
    return this.#answer(async () => {
      const result = await this.#writer.apply(workload, fence);
      for (const { metadata } of this.#caches.deployments.items().values())
        if (metadata.labels?.[LABELS.workload] === workload.workloadId) this.#removed.delete(metadata.uid);
      return result;
    });
  }

  remove(workloadId: Id, fence: Fence): Promise<ApplyResult> {
    return this.#answer(async () => {
      const { deployments, services } = this.#caches;
      const gone = [...deployments.items().values(), ...services.items().values()].filter(
        ({ metadata }) => metadata.labels?.[LABELS.workload] === workloadId,
      );
      const result = await this.#writer.remove(workloadId, fence);
      for (const { metadata } of gone) this.#removed.add(metadata.uid);
      this.#changed();
      return result;
    });
  }

  async tidy(projects: ReadonlySet<string>, { epoch }: Fence): Promise<ApplyResult> {
    const asked = `${this.#version} ${epoch} ${[...projects].sort().join(' ')}`;
    if (asked === this.#tidied) return { outcome: 'unchanged' };
    const result = await this.#answer(() => this.#tidier.tidy(projects, epoch));
    // What was refused is asked for again.
    if (result.outcome === 'unchanged') this.#tidied = asked;
    return result;
  }

  async observe(): Promise<ClusterObservation> {
    try {
      await this.#caches.current(() => this.#adoptedPods.caches());
    } catch (error) {
      throw unreachable(error);
    }
    this.#seen = this.#version;
    const now = this.#options.clock.now();
    const deployments = this.#standing();
    this.#state.keep(new Set([...this.#caches.deployments.items().values()].map(({ metadata }) => metadata.uid)));
    const specs = new Map(deployments.flatMap((deployment) => specEntry(deployment)));
    const workloads = deployments.map((deployment) =>
      this.#state.observe(deployment, this.#watch.podsOf(deployment.metadata.labels?.[LABELS.workload] ?? ''), now),
    );
    const replicas = this.#watch.records().map((record) => this.#replica(record, specs.get(record.workloadId) ?? null));
    return { observedAt: now, workloads: [...workloads, ...this.#fragments(deployments)], replicas };
  }

  changed(signal: AbortSignal): Promise<void> {
    if (this.#told > this.#seen || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done);
    });
  }

  async logs(replicaId: Id, options: LogOptions): Promise<LogPage> {
    const record = this.#watch.record(replicaId);
    if (!record || record.capacityUntil !== null) return { lines: [], cursor: options.cursor ?? '' };
    try {
      return await podLogs(this.#options.api, { ...record, container: this.#watch.containerOf(record) }, options);
    } catch (error) {
      throw unreachable(error);
    }
  }

  /** KubernetesDeployments that stand for a workload and are not on their way out. */
  #standing(): readonly HeldDeployment[] {
    const held = [...this.#caches.deployments.items().values()];
    for (const uid of this.#removed)
      if (!this.#caches.deployments.byUid(uid) && !this.#caches.services.byUid(uid)) this.#removed.delete(uid);
    return held.filter((deployment) => !this.#isGoing(deployment) && !this.#removed.has(deployment.metadata.uid));
  }

  /** With its namespace, too: then its pods go first, through no fault of theirs. */
  #isGoing({ metadata }: HeldDeployment): boolean {
    const namespace = this.#caches.namespaces.get(null, metadata.namespace ?? '');
    return metadata.deletionTimestamp !== undefined || namespace?.metadata.deletionTimestamp !== undefined;
  }

  /** Workloads of which only a part is there, because making or removing them was cut off: told anew, or removed. */
  #fragments(deployments: readonly HeldDeployment[]): ClusterObservation['workloads'] {
    const whole = new Set(deployments.map(({ metadata }) => metadata.labels?.[LABELS.workload]));
    const parts = [...this.#caches.services.items().values()]
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined && !this.#removed.has(metadata.uid))
      .map(({ metadata }) => metadata.labels?.[LABELS.workload]);
    return [...new Set(parts)]
      .filter((workloadId) => workloadId !== undefined && !whole.has(workloadId))
      .map((workloadId) => ({ workloadId: workloadId ?? '', generation: 0, replicas: 0, specDigest: '', problem: null }));
  }

  #replica(record: ReplicaRecord, spec: WorkloadSpec | null): ObservedReplica {
    const { namespace: _namespace, name: _name, endMessage: _endMessage, ...facts } = record;
    const state = stateOf(record);
    const trouble =
      state === 'draining' && record.endMessage === '' ? { message: '', failing: false } : this.#watch.troubleOf(record, spec);
    return { ...facts, state, ...trouble };
  }

  async #answer(change: () => Promise<ApplyResult>): Promise<ApplyResult> {
    try {
      await this.#caches.current();
      return await change();
    } catch (error) {
      return answerOf(error);
    }
  }

  #changedSoon(): void {
    this.#version += 1;
    this.#soon ??= setTimeout(() => this.#tell(), SOON_MS).unref();
  }

  #changed(): void {
    this.#version += 1;
    this.#tell();
  }

  #tell(): void {
    if (this.#soon) clearTimeout(this.#soon);
    this.#soon = null;
    this.#told = this.#version;
    for (const wake of this.#waiting) wake();
  }
}

function specEntry(deployment: HeldDeployment): [Id, WorkloadSpec][] {
  const spec = toldSpec(deployment);
  return spec ? [[spec.workloadId, spec]] : [];
}
