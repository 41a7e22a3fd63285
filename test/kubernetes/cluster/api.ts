// The few requests that the harness itself makes to an API server. The product has a client of its own, which the tests are about.
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, request, type Dispatcher } from 'undici';

export interface ApiObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

const PATCH_TYPES = { merge: 'application/merge-patch+json', apply: 'application/apply-patch+yaml' };
const TIMEOUT_MS = 30_000;

export class ApiClient {
  readonly #server: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #agent: Agent;

  private constructor(server: string, tls: RequestOptions) {
    this.#server = server.replace(/\/$/, '');
    this.#headers = tls.headers as Readonly<Record<string, string>>;
    const { ca, cert, key } = tls as { ca?: Buffer; cert?: Buffer; key?: Buffer };
    this.#agent = new Agent({
      connect: {
        rejectUnauthorized: tls.rejectUnauthorized ?? true,
        ...(ca && { ca }),
        ...(cert && { cert }),
        ...(key && { key }),
      },
    });
  }

  /** Any kubeconfig, also those of clusters that are not ours. */
  static async of(kubeconfig: string): Promise<ApiClient> {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const cluster = config.getCurrentCluster();
    if (cluster === null) throw new Error(`${kubeconfig} names no cluster`);
    const options: RequestOptions = { headers: {} };
    await config.applyToHTTPSOptions(options);
    return new ApiClient(cluster.server, options);
  }

  async get<T = ApiObject>(path: string): Promise<T> {
    return (await this.call('GET', path)) as T;
  }

  async list(path: string): Promise<ApiObject[]> {
    return (await this.get<{ items: ApiObject[] }>(path)).items;
  }

  async create<T = ApiObject>(path: string, body: object): Promise<T> {
    return (await this.call('POST', path, body)) as T;
  }

  async delete(path: string, body?: object): Promise<void> {
    await this.call('DELETE', path, body);
  }

  async patch<T = ApiObject>(path: string, body: object, type: keyof typeof PATCH_TYPES = 'merge'): Promise<T> {
    return (await this.call('PATCH', path, body, PATCH_TYPES[type])) as T;
  }

  /** Gives the JSON answer, or the text of another; throws `ApiError` for anything but 2xx. */
  async call(method: Dispatcher.HttpMethod, path: string, body?: object, type = 'application/json'): Promise<unknown> {
    const answer = await request(`${this.#server}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: { ...this.#headers, accept: 'application/json', ...(body && { 'content-type': type }) },
      ...(body && { body: JSON.stringify(body) }),
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new ApiError(answer.statusCode, `${method} ${path}: ${messageOf(text)}`);
    return /json/.test(String(answer.headers['content-type'])) ? (JSON.parse(text) as unknown) : text;
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }
}

export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const isStatus = (error: unknown, status: number): boolean => error instanceof ApiError && error.status === status;

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text;
  }
}
