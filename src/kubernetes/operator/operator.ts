import type { Clock } from '../../kernel/clock.ts';
import { canonicalJson } from '../../kernel/digest.ts';
import type { Json } from '../../kernel/event.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { Random } from '../../kernel/random.ts';
import { Loop } from '../../reconcile/loop.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { KubernetesError } from '../api/errors.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import type { KubernetesObject } from '../api/objects.ts';
import { apiVersionOf, MODEL_DEPLOYMENTS, NAMESPACES } from '../api/resource.ts';
import { ResourceCache } from '../watch/resource-cache.ts';
import { nameKey } from '../watch/resource-state.ts';
import type { ApiRefusal, DeploymentsApi, DeploymentView } from './deployments-api.port.ts';
import {
  managerOf,
  OPERATOR_FINALIZER,
  parseModelDeployment,
  pathOf,
  TEAM_LABEL,
  type ModelDeployment,
  type ModelDeploymentStatus,
} from './model-deployment.ts';
import { planSync, type SyncAct } from './plan-sync.ts';

/** Every object is looked at this often even if nothing is heard. Higher: lost news is found later; lower: the API is asked for nothing. */
const RESYNC_MS = 60_000;
/** What was refused is tried again after this time: a quota may have been raised. */
const REFUSED_AGAIN_MS = 60_000;
/** Objects looked at at a time. Higher: a burst at the API; lower: a restart over many objects takes long. */
const MAX_AT_ONCE = 8;
const FIELD_MANAGER = 'purser-operator';

export interface OperatorDeps {
  readonly api: KubernetesApi;
  readonly deployments: DeploymentsApi;
  /** Names this cluster in what is said of managers. */
  readonly clusterName: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface Refused {
  readonly generation: number;
  readonly at: Instant;
  /** Null = the API took it. */
  readonly refusal: ApiRefusal | null;
}

/** Keeps `ModelDeployment` objects and the API in step: woken by changes on either side, and now and then without. */
export class Operator {
  readonly #deps: OperatorDeps;
  readonly #objects: ResourceCache<KubernetesObject>;
  readonly #namespaces: ResourceCache<KubernetesObject>;
  readonly #loop: Loop;
  readonly #stopping = new AbortController();
  /** Keys to look at; null = all. */
  #dirty: Set<string> | null = null;
  readonly #answers = new Map<string, Refused>();
  /** Which object a deployment belongs to. */
  readonly #owners = new Map<string, string>();
  #following: Promise<void> | null = null;
  #allAt: Instant = 0;

  constructor(deps: OperatorDeps) {
    this.#deps = deps;
    this.#objects = new ResourceCache({ ...deps, resource: MODEL_DEPLOYMENTS, project: (object) => object });
    this.#namespaces = new ResourceCache({ ...deps, resource: NAMESPACES, project: ({ metadata }) => ({ metadata }) });
    this.#loop = new Loop({ ...deps, name: 'operator', everyMs: RESYNC_MS, body: (signal) => this.#pass(signal) });
  }

  /** Resolves when the cluster was seen whole. */
  async start(): Promise<void> {
    this.#objects.onChange((changes) => this.#wake(changes.map(({ object }) => keyOf(object))));
    this.#namespaces.onChange(() => this.#wake(null));
    this.#objects.start();
    this.#namespaces.start();
    await Promise.all([this.#objects.synced(), this.#namespaces.synced()]);
    this.#loop.start();
    this.#following = this.#deps.deployments
      .follow((id) => this.#heard(id), this.#stopping.signal)
      .catch((error: unknown) => this.#deps.logger.error({ err: error }, 'the news of the API ended'));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop.stop();
    await Promise.all([this.#objects.stop(), this.#namespaces.stop(), this.#following]);
  }

  #heard(deploymentId: string | null): void {
    const key = deploymentId === null ? null : this.#owners.get(deploymentId);
    if (key !== undefined) this.#wake(key === null ? null : [key]);
  }

  #wake(keys: readonly string[] | null): void {
    this.#dirty = keys === null ? null : this.#dirty && new Set([...this.#dirty, ...keys]);
    this.#loop.wake();
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const now = this.#deps.clock.now();
    const all = this.#dirty === null || now - this.#allAt >= RESYNC_MS;
    if (all) this.#allAt = now;
    const keys = all ? [...this.#objects.items().keys()] : [...(this.#dirty ?? [])];
    this.#dirty = new Set();
    for (let at = 0; at < keys.length; at += MAX_AT_ONCE) {
      signal.throwIfAborted();
      await Promise.all(keys.slice(at, at + MAX_AT_ONCE).map((key) => this.#syncSafely(key)));
    }
  }

  /** One object in trouble does not keep the others; it is looked at again with the next change or resync. */
  async #syncSafely(key: string): Promise<void> {
    try {
      await this.#sync(key);
    } catch (error) {
      // Somebody was faster: the watch brings what is true now.
      if (error instanceof KubernetesError && (error.status === 404 || error.status === 409)) return;
      this.#deps.logger.warn({ err: error, object: key }, 'a ModelDeployment could not be brought in step');
    }
  }

  async #sync(key: string): Promise<void> {
    const raw = this.#objects.items().get(key);
    if (!raw) {
      this.#answers.delete(key);
      return;
    }
    const object = parseModelDeployment(raw);
    if (!object) {
      this.#deps.logger.warn({ object: key }, 'a ModelDeployment is not as its definition says');
      return;
    }
    const manager = managerOf(this.#deps.clusterName, object);
    const view = await this.#view(key, object);
    const namespace = this.#namespaces.get(null, object.metadata.namespace);
    const namespaceTeam = namespace?.metadata.labels?.[TEAM_LABEL] ?? null;
    const refusal = this.#answerOf(key, object);
    const plan = planSync({ object, manager, namespaceTeam, view, refusal }, this.#deps.clock.now());
    if (plan.status) await this.#saveStatus(object, plan.status);
    await this.#act(plan.act, { key, object, manager });
  }

  async #act(act: SyncAct, { key, object, manager }: { key: string; object: ModelDeployment; manager: string }): Promise<void> {
    if (act === 'add_finalizer') await this.#holdBy(object, [OPERATOR_FINALIZER]);
    if (act === 'drop_finalizer') await this.#holdBy(object, []);
    if (act === 'deploy') await this.#deploy(key, object, manager);
    if (act === 'remove') await this.#remove(key, object, manager);
  }

  async #view(key: string, object: ModelDeployment): Promise<DeploymentView | null | undefined> {
    try {
      const view = await this.#deps.deployments.find(pathOf(object));
      if (view) this.#owners.set(view.id, key);
      return view;
    } catch (error) {
      this.#deps.logger.warn({ err: error, object: key }, 'the API cannot be asked');
      return undefined;
    }
  }

  #answerOf(key: string, { metadata }: ModelDeployment): ApiRefusal | null | undefined {
    const answer = this.#answers.get(key);
    if (answer?.generation !== metadata.generation) return undefined;
    const isOld = answer.refusal !== null && this.#deps.clock.now() - answer.at >= REFUSED_AGAIN_MS;
    return isOld ? undefined : answer.refusal;
  }

  async #deploy(key: string, object: ModelDeployment, manager: string): Promise<void> {
    const { generation } = object.metadata;
    const refusal = await this.#deps.deployments.deploy(pathOf(object), object.spec, manager);
    this.#answers.set(key, { generation, at: this.#deps.clock.now(), refusal });
    this.#wake([key]);
  }

  async #remove(key: string, object: ModelDeployment, manager: string): Promise<void> {
    const refusal = await this.#deps.deployments.remove(pathOf(object), manager);
    if (refusal) this.#deps.logger.warn({ object: key, refusal }, 'the API did not delete a deployment');
    else this.#wake([key]);
  }

  /** The uid makes it a change of this very object, never a new one. */
  async #holdBy({ metadata }: ModelDeployment, finalizers: readonly string[]): Promise<void> {
    const { namespace, name, uid } = metadata;
    const stored = await this.#deps.api.apply(MODEL_DEPLOYMENTS, manifest({ namespace, name, uid, finalizers }), {
      fieldManager: FIELD_MANAGER,
    });
    if (finalizers.length > 0) this.#objects.note(stored);
  }

  async #saveStatus(object: ModelDeployment, status: ModelDeploymentStatus): Promise<void> {
    if (canonicalJson(asJson(status)) === canonicalJson(asJson(object.status))) return;
    const { namespace, name, uid } = object.metadata;
    const stored = await this.#deps.api.apply(
      MODEL_DEPLOYMENTS,
      { ...manifest({ namespace, name, uid }), status },
      { fieldManager: FIELD_MANAGER, subresource: 'status' },
    );
    this.#objects.note(stored);
  }
}

const keyOf = ({ metadata }: KubernetesObject): string => nameKey(metadata.namespace ?? null, metadata.name);

const manifest = (metadata: { namespace: string; name: string; uid: string; finalizers?: readonly string[] }) => ({
  apiVersion: apiVersionOf(MODEL_DEPLOYMENTS),
  kind: MODEL_DEPLOYMENTS.kind,
  metadata,
});

const asJson = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;
