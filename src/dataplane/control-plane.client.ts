import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import type { Logger } from '../telemetry/logger.ts';
import { parseRouteTable } from '../traffic/router-contract/parse-route-table.ts';
import { ROUTER_NAME_HEADER } from '../traffic/router-contract/router-name.ts';
import type { RouteTable } from '../traffic/router-contract/route-table.ts';

/** Silence after which the link is dead; three heartbeats. Lower: a busy control plane is left; higher: tables come late. */
const SILENCE_MS = 15_000;
/** A report that is not answered by then is sent again. */
const REPORT_TIMEOUT_MS = 10_000;
const FIRST_RETRY_MS = 100;
/** Longest wait between two tries. Higher: tables come late after an outage; lower: many routers hammer. */
const LAST_RETRY_MS = 3_000;

export interface ControlPlaneClientDeps {
  readonly routerName: string;
  readonly url: string;
  /** Certificates (PEM) that it must be signed by; null = whatever Node trusts. */
  readonly ca: string | null;
  readonly tokenFile: string;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onTable: (table: RouteTable) => void;
  readonly onHeartbeat: () => void;
}

/** The router's side of the link: listens for tables for ever, delivers reports. */
export class ControlPlaneClient {
  readonly #deps: ControlPlaneClientDeps;
  readonly #stop = new AbortController();
  readonly #dispatcher: Agent;
  #retryMs = FIRST_RETRY_MS;
  #wake: (() => void) | null = null;

  constructor(deps: ControlPlaneClientDeps) {
    this.#deps = deps;
    this.#dispatcher = new Agent(deps.ca === null ? {} : { connect: { ca: deps.ca } });
  }

  async listen(): Promise<void> {
    while (!this.#stopped()) {
      await this.#listenOnce().catch((error: unknown) =>
        this.#deps.logger.warn({ error: (error as Error).message }, 'the link to the control plane broke'),
      );
      if (!this.#stopped()) await this.#pause();
    }
  }

  close(): void {
    this.#stop.abort();
    this.#wake?.();
  }

  /** True = counted; false = refused for good (malformed); throws = try again. */
  async report(json: string): Promise<boolean> {
    const answer = await request(`${this.#deps.url}/link/v1/reports`, {
      dispatcher: this.#dispatcher,
      method: 'POST',
      headers: { ...this.#identity(), 'content-type': 'application/json' },
      body: json,
      headersTimeout: REPORT_TIMEOUT_MS,
      bodyTimeout: REPORT_TIMEOUT_MS,
    });
    await answer.body.dump();
    if (answer.statusCode === 200) return true;
    if (answer.statusCode === 400 || answer.statusCode === 413) {
      this.#deps.logger.error({ status: answer.statusCode }, 'a usage report was refused and dropped');
      return false;
    }
    throw new Error(`the report was answered ${answer.statusCode}`);
  }

  #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #listenOnce(): Promise<void> {
    const { statusCode, body } = await request(`${this.#deps.url}/link/v1/table`, {
      dispatcher: this.#dispatcher,
      headers: { ...this.#identity(), accept: 'text/event-stream' },
      signal: this.#stop.signal,
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
    });
    if (statusCode !== 200) {
      await body.dump();
      throw new Error(`the link answered ${statusCode}`);
    }
    body.setEncoding('utf8');
    let parts: string[] = [];
    for await (const chunk of body as AsyncIterable<string>) {
      parts.push(chunk);
      if (!chunk.includes('\n')) continue;
      const events = parts.join('').split('\n\n');
      parts = [events.pop() ?? ''];
      for (const event of events) this.#onEvent(event);
    }
  }

  #onEvent(event: string): void {
    this.#retryMs = FIRST_RETRY_MS;
    if (event.startsWith(':')) {
      this.#deps.onHeartbeat();
      return;
    }
    const data = event
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => line.slice(6))
      .join('\n');
    if (data) this.#deps.onTable(parseRouteTable(JSON.parse(data)));
  }

  /** True for who shows the router's own token, as whoever scrapes metrics from elsewhere does. */
  isProved(shown: string | undefined): boolean {
    try {
      return shown !== undefined && timingSafeEqual(sha256(shown), sha256(this.#authorization()));
    } catch {
      return false;
    }
  }

  #identity(): Readonly<Record<string, string>> {
    return { authorization: this.#authorization(), [ROUTER_NAME_HEADER]: this.#deps.routerName };
  }

  /** Read each time: the file may have been replaced. Throws when it cannot be read. */
  #authorization(): string {
    return `Bearer ${readFileSync(this.#deps.tokenFile, 'utf8').trim()}`;
  }

  async #pause(): Promise<void> {
    const wait = this.#retryMs * (0.5 + this.#deps.random());
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();
