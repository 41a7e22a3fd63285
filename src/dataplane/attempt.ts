import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import { formatUsd } from '../kernel/money.ts';
import { headersForCaller, headersForReplica } from './headers.ts';
import type { LiveReplica } from './live-deployments.ts';
import type { MicroClock } from './micro-clock.ts';
import type { RequestBody } from './request-body.ts';
import { stampOf } from './stamp.ts';

export interface AttemptContext {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly rest: string;
  readonly body: RequestBody;
  readonly clock: MicroClock;
  /** Stamps of the attempts before this one. */
  readonly stampedBefore: bigint;
  readonly onHeaders: () => void;
  readonly draining: () => boolean;
}

export interface AttemptResult {
  readonly kind: 'answered' | 'failed' | 'cut';
  readonly written: boolean;
  readonly status: number;
  readonly bytesOut: number;
  /** When the replica's last byte came, or the attempt was given up. */
  readonly endedUs: number;
}

type RawController = Dispatcher.DispatchController & { readonly rawHeaders?: readonly (Buffer | string)[] };

interface Head {
  readonly status: number;
  readonly message: string;
  readonly headers: readonly (Buffer | string)[];
  readonly length: number | null;
}

/** One request to one replica, its answer streamed to the caller as it comes. */
export class Attempt {
  readonly #context: AttemptContext;
  readonly #replica: LiveReplica;
  readonly #startedUs: number;
  readonly #finish: (result: AttemptResult) => void;
  readonly result: Promise<AttemptResult>;
  #controller: Dispatcher.DispatchController | null = null;
  #head: Head | null = null;
  #held: Buffer | null = null;
  #sent = false;
  #written = false;
  #aborted = false;
  #bytesOut = 0;
  #endedUs: number | null = null;
  #trailers = false;
  #flush: NodeJS.Immediate | null = null;

  constructor(context: AttemptContext, replica: LiveReplica, startedUs: number) {
    this.#context = context;
    this.#replica = replica;
    this.#startedUs = startedUs;
    const { promise, resolve } = Promise.withResolvers<AttemptResult>();
    this.result = promise;
    this.#finish = resolve;
  }

  start(): void {
    const { request, body, rest } = this.#context;
    try {
      const headers = headersForReplica(request.rawHeaders, request.headers.connection);
      const options = {
        method: request.method ?? 'GET',
        path: rest,
        headers,
        body: body.open() as Dispatcher.DispatchOptions['body'],
      };
      this.#replica.pool.dispatch(options, this.#handler());
    } catch {
      this.#done('failed');
    }
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort(new Error('aborted'));
    this.#done(this.#sent ? 'cut' : 'failed');
  }

  #handler(): Dispatcher.DispatchHandler {
    return {
      onRequestStart: (controller) => {
        this.#controller = controller;
        this.#written = true;
        if (this.#aborted) controller.abort(new Error('aborted'));
      },
      onResponseStart: (controller, status, headers, message) =>
        this.#onHead(controller as RawController, status, { headers, message: message ?? '' }),
      onResponseData: (controller, chunk) => this.#onData(controller, chunk),
      onResponseEnd: () => this.#onEnd(),
      onResponseError: () => this.#onError(),
    };
  }

  #onHead(controller: RawController, status: number, more: { headers: Record<string, unknown>; message: string }): void {
    if (status < 200) return;
    const length = more.headers['content-length'];
    this.#head = {
      status,
      message: more.message,
      headers: controller.rawHeaders ?? [],
      length: typeof length === 'string' ? Number(length) : null,
    };
    this.#context.onHeaders();
    // The body mostly comes with the headers, in this very turn: then the answer is one write, and its stamp the final one.
    this.#flush = setImmediate(() => this.#sendHead(false));
  }

  #onData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { response } = this.#context;
    this.#bytesOut += chunk.length;
    if (!this.#sent && this.#head?.length === chunk.length) {
      this.#held = chunk;
      return;
    }
    this.#sendHead(false);
    if (!response.write(chunk)) {
      controller.pause();
      response.once('drain', () => controller.resume());
    }
  }

  #onEnd(): void {
    const { response, clock } = this.#context;
    // Read once, so that a final stamp is to the digit what the usage row carries.
    this.#endedUs = clock.nowUs();
    const whole = this.#held;
    this.#held = null;
    this.#sendHead(true);
    if (this.#trailers) response.addTrailers({ 'Purser-Cost': this.#cost() });
    if (whole) response.end(whole);
    else response.end();
    this.#done('answered');
  }

  #onError(): void {
    if (this.#flush) clearImmediate(this.#flush);
    if (this.#sent) this.#context.response.destroy();
    this.#done(this.#sent ? 'cut' : 'failed');
  }

  #sendHead(final: boolean): void {
    if (this.#sent || !this.#head || this.#aborted) return;
    this.#sent = true;
    if (this.#flush) clearImmediate(this.#flush);
    const { response } = this.#context;
    const { status, message, length } = this.#head;
    this.#trailers = !final && length === null && status !== 204 && status !== 304 && this.#wantsTrailers();
    response.writeHead(status, message, this.#headersOut(final));
    if (this.#held) response.write(this.#held);
    this.#held = null;
  }

  #headersOut(final: boolean): string[] {
    const { requestId, draining } = this.#context;
    const headers = headersForCaller(this.#head?.headers ?? []);
    headers.push('Purser-Request-Id', requestId, 'Purser-Revision', String(this.#replica.revision.number));
    if (this.#replica.rate !== null) headers.push('Purser-Cost', this.#cost());
    if (final && this.#replica.rate !== null) headers.push('Purser-Cost-Final', 'true');
    if (this.#trailers) headers.push('Trailer', 'Purser-Cost', 'Transfer-Encoding', 'chunked');
    if (draining()) headers.push('Connection', 'close');
    return headers;
  }

  #wantsTrailers(): boolean {
    const { method, httpVersion, headers } = this.#context.request;
    if (method === 'HEAD' || httpVersion === '1.0') return false;
    const te = headers.te;
    return this.#replica.rate !== null && /(^|,)\s*trailers\b/i.test(String(te ?? ''));
  }

  /** USD so far, exact to the pico-dollar. */
  #cost(): string {
    const { clock, stampedBefore } = this.#context;
    const busyUs = (this.#endedUs ?? clock.nowUs()) - this.#startedUs;
    return formatUsd(stampedBefore + stampOf(this.#replica.rate ?? 0n, busyUs, this.#replica.revision.concurrency));
  }

  #done(kind: AttemptResult['kind']): void {
    if (this.#flush) clearImmediate(this.#flush);
    this.#finish({
      kind,
      written: this.#written,
      status: this.#head?.status ?? 0,
      bytesOut: this.#bytesOut,
      endedUs: this.#endedUs ?? this.#context.clock.nowUs(),
    });
  }
}
