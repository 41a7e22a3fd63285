import { request } from 'node:http';
import {
  ClusterUnreachable,
  type ApplyResult,
  type ClusterObservation,
  type ClusterPort,
  type Fence,
  type LogPage,
  type WorkloadSpec,
} from '../deployments/cluster.port.ts';
import type { Id } from '../kernel/id.ts';
import type { RuntimeInfo } from './runtime-server.ts';

/** How long one call may take. Higher: a stuck runtime holds a loop; lower: a busy machine counts as unreachable. */
const CALL_TIMEOUT_MS = 10_000;
/** A call that waits for a change: longer than the runtime holds it. */
const WAIT_TIMEOUT_MS = 40_000;
/** Stopping waits for every replica to drain. */
const SHUTDOWN_TIMEOUT_MS = 120_000;

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** This machine as a cluster: the port spoken over the runtime's unix socket. */
export class LocalCluster implements ClusterPort {
  readonly kind = 'local';
  readonly #socket: string;
  readonly #onUnreachable: () => void;
  #seen = 0;

  /** `onUnreachable` hears of every call that failed, so that its owner can start a successor. */
  constructor(options: { readonly socket: string; readonly onUnreachable?: () => void }) {
    this.#socket = options.socket;
    this.#onUnreachable = options.onUnreachable ?? (() => undefined);
  }

  apply(workload: WorkloadSpec, fence: Fence): Promise<ApplyResult> {
    return this.#call({ method: 'POST', path: '/v1/apply', body: { workload, fence } });
  }

  remove(workloadId: Id, fence: Fence): Promise<ApplyResult> {
    return this.#call({ method: 'POST', path: '/v1/remove', body: { workloadId, fence } });
  }

  /** Nothing is kept beside workloads. */
  tidy(): Promise<ApplyResult> {
    return Promise.resolve({ outcome: 'unchanged' });
  }

  async observe(): Promise<ClusterObservation> {
    const { version, ...observation } = await this.#call<ClusterObservation & { version: number }>({
      method: 'GET',
      path: '/v1/observe',
    });
    this.#seen = version;
    return observation;
  }

  async changed(signal: AbortSignal): Promise<void> {
    const path = `/v1/changed?after=${this.#seen}`;
    await this.#call({ method: 'GET', path, signal, timeoutMs: WAIT_TIMEOUT_MS }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }

  logs(replicaId: Id, options: { readonly cursor: string | null; readonly limit: number }): Promise<LogPage> {
    const query = new URLSearchParams({ replica: replicaId, limit: String(options.limit) });
    if (options.cursor !== null) query.set('cursor', options.cursor);
    return this.#call({ method: 'GET', path: `/v1/logs?${query.toString()}` });
  }

  /** How the runtime limits and separates replicas. Throws ClusterUnreachable. */
  info(): Promise<RuntimeInfo> {
    return this.#call({ method: 'GET', path: '/v1/info' });
  }

  /** Ends the runtime, with its replicas drained first or left to a successor. Resolves when that is done. Throws ClusterUnreachable. */
  async shutdown(options: { readonly andReplicas: boolean }): Promise<void> {
    await this.#call({ method: 'POST', path: '/v1/shutdown', body: options, timeoutMs: SHUTDOWN_TIMEOUT_MS });
  }

  #call<T>({ method, path, body, signal, timeoutMs = CALL_TIMEOUT_MS }: Call): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        if (!signal?.aborted) this.#onUnreachable();
        reject(new ClusterUnreachable(`The local runtime cannot be reached: ${error.message}`, { cause: error }));
      };
      const asked = request(
        { socketPath: this.#socket, path, method, agent: false, timeout: timeoutMs, ...(signal ? { signal } : {}) },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.once('error', fail);
          answer.once('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            if (answer.statusCode === 200) resolve(JSON.parse(text) as T);
            else fail(new Error(`it answered ${answer.statusCode ?? 0}: ${text}`));
          });
        },
      );
      asked.once('timeout', () => asked.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      asked.once('error', fail);
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
