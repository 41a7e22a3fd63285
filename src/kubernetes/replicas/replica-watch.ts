import type { WorkloadSpec } from '../../deployments/cluster.port.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Id } from '../../kernel/id.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { Container, Endpoint, EndpointSlice, Node, Pod } from '../api/objects.ts';
import type { ClusterCaches } from '../cluster-caches.ts';
import { portOf } from '../manifests/make-pod-template.ts';
import { ANNOTATIONS, CONTAINER, LABELS } from '../manifests/names.ts';
import { drainingBecauseOfNodes, hindranceOf } from '../nodes/node-state.ts';
import { isReady, podTrouble } from './pod-trouble.ts';
import { follow, giveUp, isForgettable, type ReplicaRecord } from './replica-history.ts';
import type { ResourceCache } from '../watch/resource-cache.ts';
import type { Change } from '../watch/resource-state.ts';

/** Whose pod it is where its own marks do not say. */
export interface Owner {
  readonly workloadId: Id;
  readonly revisionId: Id;
  readonly port: number;
  /** Null = its KubernetesDeployment was not taken over. */
  readonly adoptedAt: Instant | null;
}

/** Nodes as they are known; null = nobody watches them. */
export type NodeOf = (name: string) => Node | null;

export interface ReplicaWatchDeps {
  readonly caches: ClusterCaches;
  readonly clock: Clock;
  readonly nodeOf: NodeOf;
}

/** Follows pods and their endpoints from change to change: Kubernetes keeps the present state only, a replica has a history. */
export class ReplicaWatch {
  readonly #deps: ReplicaWatchDeps;
  readonly #records = new Map<Id, ReplicaRecord>();
  /** Pods whose endpoint is ready, by the slice that says so; and in how many slices. */
  readonly #ready = new Map<string, ReadonlySet<Id>>();
  readonly #readyIn = new Map<Id, number>();
  readonly #byWorkload = new Map<Id, Map<Id, Pod>>();
  readonly #owners = new Map<Id, Owner>();
  readonly #leaving = new Map<Id, string>();
  /** Some node will leave: whether its pods drain depends on which others can be sent requests. */
  #someLeave = false;

  constructor(deps: ReplicaWatchDeps) {
    this.#deps = deps;
    this.listen(deps.caches.pods, ownerByMarks);
    deps.caches.endpointSlices.onChange((changes) => this.#endpoints(changes));
  }

  /** Hears of the pods of a cache. */
  listen(cache: ResourceCache<Pod>, ownerOf: (pod: Pod) => Owner | null): void {
    cache.onChange((changes) => {
      const { syncedAt, heardAt } = cache.freshness();
      const watched = syncedAt !== heardAt;
      for (const change of changes) {
        const owner = ownerOf(change.object);
        if (owner) this.#pod(change, owner, watched);
      }
      if (this.#someLeave) this.nodesChanged();
    });
  }

  /** The pods of a workload that are there. */
  podsOf(workloadId: Id): readonly Pod[] {
    return [...(this.#byWorkload.get(workloadId)?.values() ?? [])];
  }

  record(replicaId: Id): ReplicaRecord | undefined {
    return this.#records.get(replicaId);
  }

  /** The container of a replica in its pod. */
  containerOf({ workloadId, replicaId }: ReplicaRecord): string {
    const names =
      this.#byWorkload
        .get(workloadId)
        ?.get(replicaId)
        ?.spec?.containers.map(({ name }) => name) ?? [];
    return names.includes(CONTAINER) ? CONTAINER : (names[0] ?? CONTAINER);
  }

  /** Its pods run on and are none of ours any more. */
  release(workloadId: Id): void {
    const at = this.#deps.clock.now();
    for (const record of this.#records.values())
      if (record.workloadId === workloadId) this.#records.set(record.replicaId, giveUp(record, { at, estimated: false }));
    for (const uid of this.#byWorkload.get(workloadId)?.keys() ?? []) this.#owners.delete(uid);
    this.#byWorkload.delete(workloadId);
  }

  /** Every replica, those given up within the last hours too. */
  records(): readonly ReplicaRecord[] {
    const now = this.#deps.clock.now();
    for (const [id, record] of this.#records) if (isForgettable(record, now)) this.#records.delete(id);
    return [...this.#records.values()];
  }

  /** Why the replica is not as it should be. */
  troubleOf(record: ReplicaRecord, spec: WorkloadSpec | null): { readonly message: string; readonly failing: boolean } {
    if (record.endMessage !== '') return { message: record.endMessage, failing: false };
    const pod = this.#byWorkload.get(record.workloadId)?.get(record.replicaId);
    if (!pod) return { message: '', failing: false };
    const hindrance = this.#leaving.get(record.replicaId) ?? this.#unheard(pod);
    if (hindrance !== null) return { message: hindrance, failing: false };
    const now = this.#deps.clock.now();
    return podTrouble(pod, { now, ...limitsOf(spec) });
  }

  /** Looks at all pods again because something was said about their nodes. */
  nodesChanged(): void {
    const pods = [...this.#byWorkload].flatMap(([workloadId, own]) =>
      [...own.values()].map((pod) => ({
        uid: pod.metadata.uid,
        workloadId,
        routable: isReady(pod) && this.#isReady(pod.metadata.uid) && pod.metadata.deletionTimestamp === undefined,
        node: this.#nodeOf(pod),
      })),
    );
    this.#someLeave = pods.some(({ node }) => node !== null && hindranceOf(node)?.kind === 'leaving');
    this.#leaving.clear();
    for (const [uid, message] of drainingBecauseOfNodes(pods)) this.#leaving.set(uid, message);
    for (const own of this.#byWorkload.values()) for (const pod of own.values()) this.#again(pod, true);
  }

  #pod(change: Change<Pod>, owner: Owner, watched: boolean): void {
    const { object: pod } = change;
    const { uid } = pod.metadata;
    if (change.kind !== 'deleted') {
      const own = this.#byWorkload.get(owner.workloadId) ?? new Map<Id, Pod>();
      this.#byWorkload.set(owner.workloadId, own.set(uid, pod));
      this.#owners.set(uid, owner);
      this.#look(pod, owner, watched);
      return;
    }
    const own = this.#byWorkload.get(owner.workloadId);
    own?.delete(uid);
    if (own?.size === 0) this.#byWorkload.delete(owner.workloadId);
    this.#leaving.delete(uid);
    this.#owners.delete(uid);
    const record = this.#records.get(uid);
    if (record) this.#records.set(uid, giveUp(record, { at: change.heardAt, estimated: !change.watched }));
  }

  #look(pod: Pod, owner: Owner, watched: boolean): void {
    const { uid } = pod.metadata;
    const known = this.#records.get(uid) ?? null;
    const now = this.#deps.clock.now();
    const next = follow(known, pod, {
      ...owner,
      endpointReady: this.#isReady(uid),
      leaving: this.#leaving.has(uid),
      unheard: this.#unheard(pod) !== null,
      watched,
      now,
    });
    if (next) this.#records.set(uid, next.capacityUntil === null ? next : { ...next, endMessage: endMessage(pod, now) });
  }

  #again(pod: Pod, watched: boolean): void {
    const owner = this.#owners.get(pod.metadata.uid);
    if (owner) this.#look(pod, owner, watched);
  }

  #endpoints(changes: readonly Change<EndpointSlice>[]): void {
    const { syncedAt, heardAt } = this.#deps.caches.endpointSlices.freshness();
    for (const change of changes) {
      const { uid } = change.object.metadata;
      const before = this.#ready.get(uid) ?? new Set<Id>();
      const after = change.kind === 'deleted' ? new Set<Id>() : readyPods(change.object);
      if (change.kind === 'deleted') this.#ready.delete(uid);
      else this.#ready.set(uid, after);
      for (const podUid of new Set([...before, ...after])) {
        const by = Number(after.has(podUid)) - Number(before.has(podUid));
        if (by === 0) continue;
        this.#count(podUid, by);
        const pod = this.#deps.caches.pods.byUid(podUid) ?? this.#podByUid(podUid);
        if (pod) this.#again(pod, syncedAt !== heardAt);
      }
    }
    if (this.#someLeave) this.nodesChanged();
  }

  #podByUid(uid: Id): Pod | undefined {
    const record = this.#records.get(uid);
    return record && this.#byWorkload.get(record.workloadId)?.get(uid);
  }

  #isReady(podUid: Id): boolean {
    return this.#readyIn.has(podUid);
  }

  #count(podUid: Id, by: number): void {
    const count = (this.#readyIn.get(podUid) ?? 0) + by;
    if (count > 0) this.#readyIn.set(podUid, count);
    else this.#readyIn.delete(podUid);
  }

  #unheard(pod: Pod): string | null {
    const node = this.#nodeOf(pod);
    const hindrance = node ? hindranceOf(node) : null;
    return hindrance?.kind === 'unknown' ? hindrance.message : null;
  }

  #nodeOf(pod: Pod): Node | null {
    return pod.spec?.nodeName === undefined ? null : this.#deps.nodeOf(pod.spec.nodeName);
  }
}

/** What our own pods say of themselves. */
export function ownerByMarks({ metadata, spec }: Pod): Owner | null {
  const workloadId = metadata.labels?.[LABELS.workload];
  const revisionId = metadata.annotations?.[ANNOTATIONS.revisionId] ?? '';
  return workloadId === undefined ? null : { workloadId, revisionId, port: portAmong(spec?.containers ?? []), adoptedAt: null };
}

function portAmong(containers: readonly Container[]): number {
  const container = containers.find(({ name }) => name === CONTAINER) ?? containers[0];
  return container?.ports?.[0]?.containerPort ?? 0;
}

const readyPods = ({ endpoints }: EndpointSlice): ReadonlySet<Id> =>
  new Set(
    (endpoints ?? []).filter(isReadyEndpoint).flatMap(({ targetRef }) => (targetRef?.uid === undefined ? [] : [targetRef.uid])),
  );

/** Without a word it is ready, as the API says. */
const isReadyEndpoint = ({ conditions = {} }: Endpoint): boolean => conditions.ready !== false && conditions.terminating !== true;

const endMessage = (pod: Pod, now: number): string => podTrouble(pod, { now, ...limitsOf(null) }).message;

const limitsOf = (spec: WorkloadSpec | null) => ({
  readinessTimeoutMs: spec?.readinessTimeoutMs ?? Number.MAX_SAFE_INTEGER,
  memoryMib: spec?.resources.memoryMib ?? 0,
  healthPath: spec?.healthPath ?? 'its health path',
});

export const ownerBySpec = (spec: WorkloadSpec, adoptedAt: Instant | null): Owner => ({
  workloadId: spec.workloadId,
  revisionId: spec.revisionId,
  port: portOf(spec),
  adoptedAt,
});
