import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Id } from '../kernel/id.ts';
import type { Principal } from '../kernel/principal.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricRegistry } from '../telemetry/metrics.ts';
import type { RouteTableSource } from '../traffic/route-table-source.port.ts';
import { ContractError } from '../traffic/router-contract/fields.ts';
import { MAX_REPORT_BYTES, parseUsageReport } from '../traffic/router-contract/parse-usage-report.ts';
import { mayBeCalled, ROUTER_NAME_HEADER } from '../traffic/router-contract/router-name.ts';
import type { ReportAnswer, UsageReport } from '../traffic/router-contract/usage-report.ts';
import type { UsageSink } from '../traffic/usage-sink.port.ts';
import { bearerOf, watchToken } from './authenticate.ts';

/** After a table, changes within this are one: a single change goes out at once. Higher: a second one comes late; lower: a rollout sends a table per row. */
const COALESCE_MS = 20;
/** Higher: a dead link is noticed late; lower: traffic for nothing. */
const HEARTBEAT_MS = 5_000;
/** How often a router proves itself again. Higher: one whose token was revoked hears more tables; lower: queries while nothing happens. */
const RECHECK_ROUTER_MS = 2_000;
/** Replicas remembered per router as sent. Higher: memory; lower: late usage needs a look-up. */
const MAX_REMEMBERED = 50_000;
/** Unsent bytes of a table stream after which a router is too slow and must reconnect. Higher: memory per router. */
const MAX_BACKLOG_BYTES = 64 * 1024 * 1024;

/** While the link closes: how often connections that have become idle are cut. Higher: a stop takes longer. */
const SWEEP_MS = 250;

export interface RouterLinkDeps {
  /** Null for an unknown, revoked or expired token. */
  readonly authenticate: (token: string) => Promise<Principal | null>;
  readonly tables: RouteTableSource;
  readonly usage: UsageSink;
  readonly registry: MetricRegistry;
  /** Certificate and key (PEM); null = plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly logger: Logger;
}

interface Refusal {
  readonly status: 400 | 403 | 413;
  readonly message: string;
}

/** Who asks, and how that was proved. */
interface JoinedRouter {
  readonly name: string;
  /** The name that its token was made for; routers that share one are remembered as one. */
  readonly holder: string;
  readonly principal: Principal;
  readonly bearer: string;
}

/** The control plane's side of the link: tables out, usage in. */
export class RouterLink {
  readonly #deps: RouterLinkDeps;
  readonly #server: Server;
  readonly #streams = new Map<ServerResponse, string>();
  readonly #sent = new Map<string, Set<Id>>();
  #stopListening: (() => void) | null = null;
  /** A table is to be sent: in a moment, or after the pause. */
  #isDue = false;
  #soon: NodeJS.Immediate | null = null;
  #pause: NodeJS.Timeout | null = null;
  #heartbeat: NodeJS.Timeout | null = null;
  #isClosing = false;

  constructor(deps: RouterLinkDeps) {
    this.#deps = deps;
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      if (this.#isClosing) response.setHeader('connection', 'close');
      this.#onRequest(request, response).catch((error: unknown) => {
        deps.logger.error({ error: (error as Error).stack }, 'a link request failed');
        answer(response, 500, { error: 'Try again.' });
      });
    };
    this.#server = deps.tls ? createTlsServer(deps.tls, onRequest) : createServer(onRequest);
  }

  /** Resolves with the port. */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    this.#stopListening = this.#deps.tables.changed(() => this.#schedule());
    this.#heartbeat = setInterval(() => this.#send(': heartbeat\n\n'), HEARTBEAT_MS);
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends tables, answers reports that run, and sends everything that still comes over a kept connection elsewhere. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#stopListening?.();
    if (this.#soon) clearImmediate(this.#soon);
    if (this.#pause) clearTimeout(this.#pause);
    if (this.#heartbeat) clearInterval(this.#heartbeat);
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const stream of this.#streams.keys()) stream.end();
    this.#server.closeIdleConnections();
    // And again: an answer that had begun before keeps its connection.
    const sweep = setInterval(() => this.#server.closeIdleConnections(), SWEEP_MS);
    await closed;
    clearInterval(sweep);
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [pathname = ''] = (request.url ?? '').split('?');
    const router = await this.#router(request);
    const route = `${request.method ?? ''} ${pathname}`;
    if (route === 'GET /metrics' && (router ?? isLoopback(request))) await this.#metrics(response);
    else if (!router) answer(response, 401, { error: 'A router token is needed, good for the name of the router.' });
    else if (route === 'GET /link/v1/table') this.#stream(response, router);
    else if (route === 'POST /link/v1/reports') await this.#report(request, response, router);
    else answer(response, 404, { error: 'Not found.' });
  }

  async #router(request: IncomingMessage): Promise<JoinedRouter | null> {
    const bearer = bearerOf(request.headers.authorization);
    const principal = bearer === null ? null : await this.#deps.authenticate(bearer);
    if (bearer === null || principal?.kind !== 'router') return null;
    const said = request.headers[ROUTER_NAME_HEADER];
    const name = typeof said === 'string' ? said : principal.name;
    return mayBeCalled(principal.name, name) ? { name, holder: principal.name, principal, bearer } : null;
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const text = await this.#deps.registry.metrics();
    response.writeHead(200, { 'content-type': this.#deps.registry.contentType }).end(text);
  }

  /** Until the router leaves, or its token is good no more: a table tells who may call what. */
  #stream(response: ServerResponse, { name, holder, principal, bearer }: JoinedRouter): void {
    if (this.#isClosing) {
      answer(response, 503, { error: 'Ask again: this control plane is going.' });
      return;
    }
    void this.#joined(name);
    const unwatch = watchToken(this.#deps, { bearer, known: principal, everyMs: RECHECK_ROUTER_MS }, () => response.destroy());
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
    this.#streams.set(response, holder);
    response.once('close', () => {
      unwatch();
      this.#streams.delete(response);
    });
    const event = this.#tableEvent([holder]);
    if (event) response.write(event);
  }

  /** Beside the table, which no database that is slow or away may hold up. */
  async #joined(router: string): Promise<void> {
    try {
      await this.#deps.usage.joined({ name: router });
    } catch (error) {
      this.#deps.logger.warn({ router, error: (error as Error).message }, 'a router could not be noted');
    }
  }

  #schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    if (!this.#pause) this.#soon = setImmediate(() => this.#sendTable());
  }

  #sendTable(): void {
    this.#isDue = false;
    this.#pause = setTimeout(() => {
      this.#pause = null;
      if (this.#isDue) this.#sendTable();
    }, COALESCE_MS);
    const event = this.#tableEvent(new Set(this.#streams.values()));
    if (event) this.#send(event);
  }

  /** The event, after its replicas are remembered as sent: usage of them may come back at once. */
  #tableEvent(holders: Iterable<string>): string | null {
    const table = this.#deps.tables.current();
    if (!table) return null;
    const ids = table.deployments.flatMap((row) =>
      row.revisions.flatMap((revision) => revision.replicas.map((replica) => replica.replicaId)),
    );
    for (const holder of holders) this.#remember(holder, ids);
    return `event: table\ndata: ${JSON.stringify(table)}\n\n`;
  }

  #remember(holder: string, ids: readonly Id[]): void {
    const sent = this.#sent.get(holder) ?? new Set<Id>();
    this.#sent.set(holder, sent);
    for (const id of ids) {
      sent.delete(id);
      sent.add(id);
    }
    for (const oldest of sent) {
      if (sent.size <= MAX_REMEMBERED) break;
      sent.delete(oldest);
    }
  }

  #send(event: string): void {
    for (const stream of this.#streams.keys()) {
      if (stream.writableLength > MAX_BACKLOG_BYTES) stream.destroy();
      else stream.write(event);
    }
  }

  async #report(request: IncomingMessage, response: ServerResponse, { name, holder }: JoinedRouter): Promise<void> {
    const report = readReport(await bodyOf(request), name);
    if ('status' in report) {
      answer(response, report.status, { error: report.message });
      return;
    }
    const known = await this.#known(report, holder);
    const rows = report.rows.filter((row) => known.has(row.replicaId));
    const outcome = await this.#deps.usage.accept({ ...report, rows }, { name });
    const whole: ReportAnswer = { ...outcome, refusedRows: outcome.refusedRows + report.rows.length - rows.length };
    answer(response, 200, whole);
  }

  async #known(report: UsageReport, holder: string): Promise<ReadonlySet<Id>> {
    const sent = this.#sent.get(holder) ?? new Set<Id>();
    const strange = [...new Set(report.rows.map((row) => row.replicaId))].filter((id) => !sent.has(id));
    if (strange.length === 0 || !this.#deps.tables.everRouted) return sent;
    const routed = await this.#deps.tables.everRouted(strange);
    return new Set([...sent, ...routed]);
  }
}

function readReport(body: Buffer | null, router: string): UsageReport | Refusal {
  if (!body) return { status: 413, message: `A report is at most ${MAX_REPORT_BYTES} bytes.` };
  try {
    const report = parseUsageReport(JSON.parse(body.toString('utf8')));
    if (report.source.startsWith(`${router}/`)) return report;
    return { status: 403, message: 'The token belongs to a router of another name.' };
  } catch (error) {
    return { status: 400, message: error instanceof ContractError ? error.message : 'The body is not JSON.' };
  }
}

/** Null when it is too long; the rest is not read. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_REPORT_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const isLoopback = (request: IncomingMessage): boolean => /^(127\.|::1$|::ffff:127\.)/.test(request.socket.remoteAddress ?? '');
