import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { newId } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Random } from '../kernel/random.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricRegistry } from '../telemetry/metrics.ts';
import {
  ABSENT,
  NO_TABLE,
  NO_UPGRADE,
  STALE_TABLE,
  UNAUTHENTICATED,
  linger,
  malformed,
  refuse,
  type Refusal,
} from './answers.ts';
import { Callers, mayInvoke, type Caller } from './callers.ts';
import { ControlPlaneClient } from './control-plane.client.ts';
import { Exchange } from './exchange.ts';
import { LiveDeployments } from './live-deployments.ts';
import { matchRoute } from './match-route.ts';
import type { MicroClock } from './micro-clock.ts';
import { Reporter } from './reporter.ts';
import { makeRouterMetrics, type RouterMetrics } from './router.metrics.ts';
import { TableKeeper } from './table-keeper.ts';
import { UsageWindow } from './usage-window.ts';

/** Usage counted since the last sync is what a crash can lose. Higher: more is lost; lower: more syncs. */
export const SPOOL_INTERVAL_MS = 1_000;
/** Requests in flight get at least this long when the router stops, or the longest deadline of its table. Higher: stopping hangs; lower: long answers are cut. */
const DRAIN_LIMIT_MS = 25_000;
/** Idle connections may send one more request while the router stops. Lower: that request is lost. */
const IDLE_GRACE_MS = 1_000;
/** The last delivery of reports while stopping; what is left stays in the spool. */
const LAST_REPORT_MS = 3_000;

/** What one caller, or many, may take of the router. */
export interface RouterLimits {
  /** Time for a request's head. Higher: slow callers hold connections; lower: callers far away are cut. */
  readonly headMs?: number;
  /** Time in which a caller reads something of an answer. Higher: one that reads nothing holds a replica's slot; lower: slow ones are cut. */
  readonly stallMs?: number;
  /** Open connections of callers. Higher: memory and file descriptors run out for all; lower: honest callers are turned away. */
  readonly connections?: number;
}

const LIMITS: Required<RouterLimits> = { headMs: 30_000, stallMs: 60_000, connections: 16_384 };

export interface RouterDeps {
  readonly name: string;
  /** Of this router alone: table, spool. */
  readonly folder: string;
  readonly linkUrl: string;
  /** Certificates (PEM) that the link must be signed by; null = whatever Node trusts. */
  readonly linkCa: string | null;
  readonly tokenFile: string;
  /** Refuse to serve a table that was not confirmed for this long; null = serve it for ever. */
  readonly maxTableAgeMs: number | null;
  readonly clock: MicroClock;
  readonly random: Random;
  readonly logger: Logger;
  readonly registry: MetricRegistry;
  readonly limits?: RouterLimits;
}

/** The router: everything between a caller's socket and a replica's. */
export class Router {
  readonly #deps: RouterDeps;
  readonly #server: Server;
  readonly #limits: Required<RouterLimits>;
  readonly #callers = new Callers();
  readonly #deployments: LiveDeployments;
  readonly #usage = new UsageWindow();
  readonly #metrics: RouterMetrics;
  readonly #tables: TableKeeper;
  readonly #link: ControlPlaneClient;
  #reporter: Reporter | null = null;
  #timer: NodeJS.Timeout | null = null;
  #draining = false;
  #graceOver = false;
  #inFlight = 0;

  constructor(deps: RouterDeps) {
    this.#deps = deps;
    this.#metrics = makeRouterMetrics(deps.registry);
    this.#deployments = new LiveDeployments(() => this.#now(), deps.random);
    this.#tables = new TableKeeper({
      folder: deps.folder,
      logger: deps.logger,
      now: () => this.#now(),
      apply: (table) => {
        this.#callers.apply(table);
        this.#deployments.apply(table);
      },
    });
    this.#link = new ControlPlaneClient({
      routerName: deps.name,
      url: deps.linkUrl,
      ca: deps.linkCa,
      tokenFile: deps.tokenFile,
      logger: deps.logger,
      random: () => deps.random.fraction(),
      onTable: (table) => this.#tables.offer(table),
      onHeartbeat: () => this.#tables.confirm(),
    });
    this.#limits = { ...LIMITS, ...deps.limits };
    this.#server = this.#makeServer();
  }

  /** A body has no time limit here: streams may last, and the deadline bounds what has no answer. A head has one. */
  #makeServer(): Server {
    const { headMs, connections } = this.#limits;
    const times = { keepAliveTimeout: 65_000, requestTimeout: 0, headersTimeout: headMs };
    const options = { ...times, connectionsCheckingInterval: Math.min(headMs, 5_000) };
    const server = createServer(options, (request, response) => this.#onRequest(request, response));
    server.maxConnections = connections;
    return server;
  }

  /** Starts serving; resolves with the port. */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: 1024 }, resolve);
    });
    // Only now: whoever holds the port owns the spool.
    this.#reporter = this.#makeReporter();
    void this.#link.listen();
    this.#timer = setInterval(() => this.#tick(), SPOOL_INTERVAL_MS);
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that never carried a request do not count as idle: once nothing is in flight they go too. */
  #closeUnused(): void {
    if (this.#graceOver && this.#inFlight === 0) this.#server.closeAllConnections();
  }

  #makeReporter(): Reporter {
    return new Reporter({
      folder: join(this.#deps.folder, 'spool'),
      routerName: this.#deps.name,
      incarnation: newId(this.#now(), this.#deps.random),
      clock: this.#deps.clock,
      usage: this.#usage,
      metrics: this.#metrics,
      logger: this.#deps.logger,
      version: () => this.#tables.table?.version ?? null,
      send: (json) => this.#link.report(json),
      random: () => this.#deps.random.fraction(),
    });
  }

  /**
   * Is not ready from now on, and after `unreadyMs`, in which balancers learn of it, takes no new connection; answers what is in flight or
   * held, delivers the last reports.
   */
  async drain(unreadyMs = 0): Promise<void> {
    this.#draining = true;
    if (unreadyMs > 0) await new Promise((resolve) => setTimeout(resolve, unreadyMs));
    // Not http's own close: it would cut idle connections at once, and with them a request that is just arriving.
    const closed = new Promise<void>((resolve) => {
      NetServer.prototype.close.call(this.#server, () => resolve());
    });
    const grace = setTimeout(() => {
      this.#graceOver = true;
      this.#server.closeIdleConnections();
      this.#closeUnused();
    }, IDLE_GRACE_MS);
    const deadlines = (this.#tables.table?.deployments ?? []).map(({ deadlineMs }) => deadlineMs);
    const limit = setTimeout(() => this.#server.closeAllConnections(), Math.max(DRAIN_LIMIT_MS, ...deadlines));
    await closed;
    clearTimeout(grace);
    clearTimeout(limit);
    if (this.#timer) clearInterval(this.#timer);
    await Promise.race([this.#reporter?.finish(), new Promise((resolve) => setTimeout(resolve, LAST_REPORT_MS).unref())]);
    this.#link.close();
    await this.#deployments.close();
  }

  #tick(): void {
    this.#tables.checkAccepted();
    this.#reporter?.tick();
    this.#metrics.tableHeld.set(this.#tables.held ? 1 : 0);
    this.#metrics.tableAge.set((this.#tables.ageMs ?? 0) / 1000);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    if (request.url?.startsWith('/-/')) return void this.#onAdmin(request, response);
    if (this.#draining) response.shouldKeepAlive = false;
    this.#inFlight += 1;
    response.once('finish', () => linger(request));
    response.once('close', () => {
      this.#inFlight -= 1;
      this.#closeUnused();
      this.#metrics.requests.inc({ status: `${Math.floor(response.statusCode / 100)}xx` });
    });
    const requestId = newId(this.#now(), this.#deps.random);
    const early = this.#refusal();
    if (early) {
      refuse(response, requestId, early);
      return;
    }
    const caller = this.#callers.find(request.headers.authorization, this.#now());
    if (caller instanceof Promise) void caller.then((found) => this.#route(request, response, { requestId, caller: found }));
    else this.#route(request, response, { requestId, caller });
  }

  #refusal(): Refusal | null {
    if (!this.#tables.table) return NO_TABLE;
    const { maxTableAgeMs } = this.#deps;
    return maxTableAgeMs !== null && (this.#tables.ageMs ?? Infinity) > maxTableAgeMs ? STALE_TABLE : null;
  }

  #route(request: IncomingMessage, response: ServerResponse, who: { requestId: string; caller: Caller | null }): void {
    const { requestId, caller } = who;
    if (!caller) {
      refuse(response, requestId, UNAUTHENTICATED);
      return;
    }
    if (asksToUpgrade(request)) {
      refuse(response, requestId, NO_UPGRADE);
      return;
    }
    if (hasTwoHosts(request.rawHeaders)) {
      refuse(response, requestId, malformed('There must be one Host.'));
      return;
    }
    const header = request.headers['purser-deployment'];
    const ask = {
      target: request.url ?? '/',
      host: request.headers.host,
      deployment: Array.isArray(header) ? header.join() : header,
    };
    const match = matchRoute(this.#deployments.index, ask, (deployment) => mayInvoke(caller.access, deployment));
    if (match.kind === 'malformed') {
      refuse(response, requestId, malformed(match.message));
      return;
    }
    const deployment = match.kind === 'found' ? this.#deployments.get(match.deployment.deploymentId) : undefined;
    if (match.kind !== 'found' || !deployment) {
      refuse(response, requestId, ABSENT);
      return;
    }
    const exchange = new Exchange(
      {
        clock: this.#deps.clock,
        usage: this.#usage,
        metrics: this.#metrics,
        logger: this.#deps.logger,
        draining: () => this.#draining,
        stallMs: this.#limits.stallMs,
      },
      { request, response, requestId, caller, deployment, rest: match.rest },
    );
    exchange.run().catch((error: unknown) => {
      this.#deps.logger.error({ error: (error as Error).stack, requestId }, 'an exchange failed');
      response.destroy();
    });
  }

  async #onAdmin(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const ready = this.#tables.table !== null && !this.#draining;
    if (request.url === '/-/healthz') {
      answer(response, 200, 'ok\n');
      return;
    }
    if (request.url === '/-/readyz') {
      answer(response, ready ? 200 : 503, ready ? 'ready\n' : 'not ready\n');
      return;
    }
    if (!isLoopback(request.socket.remoteAddress) && !this.#link.isProved(request.headers.authorization)) {
      answer(response, 404, 'not found\n');
      return;
    }
    if (request.url === '/-/status') {
      answer(response, 200, `${JSON.stringify(this.status())}\n`);
      return;
    }
    if (request.url === '/-/metrics') {
      answer(response, 200, await this.#deps.registry.metrics());
      return;
    }
    answer(response, 404, 'not found\n');
  }

  /** What an operator wants to know first. */
  status(): Readonly<Record<string, unknown>> {
    return {
      name: this.#deps.name,
      tableVersion: this.#tables.table?.version ?? null,
      tableAgeMs: this.#tables.ageMs,
      heldTableVersion: this.#tables.held?.version ?? null,
      inFlight: this.#inFlight,
      reportsPending: this.#reporter?.pending ?? 0,
      usageLostByACrashMs: SPOOL_INTERVAL_MS,
      draining: this.#draining,
    };
  }

  #now(): Instant {
    return Math.floor(this.#deps.clock.nowUs() / 1000);
  }
}

function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/** Whoever stands before this router may have read the other one (RFC 9112 §3.2). */
function hasTwoHosts(raw: readonly string[]): boolean {
  let hosts = 0;
  for (let i = 0; i < raw.length; i += 2) if (raw[i]?.length === 4 && raw[i]?.toLowerCase() === 'host') hosts += 1;
  return hosts > 1;
}

/** HTTP/2 is offered by clients that go on without it; whoever asks for anything else needs it. */
const asksToUpgrade = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade !== undefined &&
  headers.upgrade.toLowerCase() !== 'h2c' &&
  /(^|,)\s*upgrade\s*(,|$)/i.test(headers.connection ?? '');

const isLoopback = (address: string | undefined): boolean => address !== undefined && /^(127\.|::1$|::ffff:127\.)/.test(address);
