import { chmodSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import type { Fence, WorkloadSpec } from '../deployments/cluster.port.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { LocalRuntime } from './local-runtime.ts';

/** A long poll ends after this. Higher: a dead peer is noticed late; lower: more calls while nothing happens. */
const POLL_MS = 25_000;
/** A spec is small; more is a bug. */
const MAX_BODY_BYTES = 1024 * 1024;

/** What the runtime says of itself. */
export interface RuntimeInfo {
  readonly pid: number;
  readonly version: string;
  readonly memoryLimit: string;
  readonly user: 'per-project' | 'own';
  readonly allowProcess: boolean;
  /** What this machine lacks for keeping replicas apart, in words; empty when nothing. */
  readonly missing: readonly string[];
}

export interface RuntimeServerDeps {
  readonly runtime: LocalRuntime;
  readonly info: RuntimeInfo;
  readonly logger: Logger;
  /** Asked to end; `andReplicas` drains them first. */
  readonly shutdown: (andReplicas: boolean) => Promise<void>;
}

/** HTTP and JSON over a unix socket that only this user can reach. */
export class RuntimeServer {
  readonly #deps: RuntimeServerDeps;
  readonly #server: Server;

  constructor(deps: RuntimeServerDeps) {
    this.#deps = deps;
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  /** The caller holds the runtime's lock: a socket that is already there belongs to nobody. */
  async listen(socket: string): Promise<void> {
    const folder = dirname(socket);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (statSync(folder).uid !== process.getuid?.()) throw new Error(`${folder} belongs to another user.`);
    chmodSync(folder, 0o700);
    rmSync(socket, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(socket, resolve);
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await this.#answer(request, response);
      response
        .writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' })
        .end(JSON.stringify(body ?? null));
    } catch (error) {
      this.#deps.logger.error({ err: error, url: request.url }, 'a request to the runtime failed');
      response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ error: (error as Error).message }));
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const { runtime, info } = this.#deps;
    const url = new URL(request.url ?? '/', 'http://runtime');
    switch (`${request.method ?? ''} ${url.pathname}`) {
      case 'GET /v1/info':
        return info;
      case 'GET /v1/observe':
        return runtime.observe();
      case 'GET /v1/changed':
        return this.#changed(Number(url.searchParams.get('after')), response);
      case 'GET /v1/logs':
        return runtime.logs(url.searchParams.get('replica') ?? '', {
          cursor: url.searchParams.get('cursor'),
          limit: Number(url.searchParams.get('limit')),
        });
      default:
        return this.#command(url.pathname, request);
    }
  }

  async #changed(after: number, response: ServerResponse): Promise<unknown> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    await this.#deps.runtime.changedAfter(after, AbortSignal.any([gone.signal, AbortSignal.timeout(POLL_MS)]));
    return {};
  }

  async #command(path: string, request: IncomingMessage): Promise<unknown> {
    if (request.method !== 'POST') return undefined;
    const body: unknown = JSON.parse(await readBody(request));
    if (path === '/v1/apply') {
      const { workload, fence } = body as { workload: WorkloadSpec; fence: Fence };
      return this.#deps.runtime.apply(workload, fence);
    }
    if (path === '/v1/remove') {
      const { workloadId, fence } = body as { workloadId: string; fence: Fence };
      return this.#deps.runtime.remove(workloadId, fence);
    }
    if (path !== '/v1/shutdown') return undefined;
    await this.#deps.shutdown((body as { andReplicas: boolean }).andReplicas);
    return {};
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Error(`The body is larger than ${MAX_BODY_BYTES} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
