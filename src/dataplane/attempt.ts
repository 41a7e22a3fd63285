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
  /** A caller may leave an answer unread for this long. */
  readonly stallMs: number;
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

/** What may follow a status: anything else would be refused when it is written, and means nothing (RFC 9112 §4). */
const SENDABLE_REASON = /^[\t\x20-\x7e\x80-\xff]*$/;

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
      message: SENDABLE_REASON.test(more.message) ? more.message : '',
      headers: controller.rawHeaders ?? [],
      length: typeof length === 'string' ? Number(length) : null,
    };
    this.#context.onHeaders();
    // The body mostly comes with the headers, in this very turn: then the answer is one write, and its stamp the final one.
    this.#flush = setImmediate(() => {
      if (this.#sendHead(false)) this.#context.response.flushHeaders();
    });
  }

  #onData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytesOut += chunk.length;
    if (!this.#sent && this.#head?.length === chunk.length) {
      this.#held = chunk;
      return;
    }
    if (this.#sendHead(false) && !this.#context.response.write(chunk)) this.#waitForCaller(controller);
  }

  /** The replica is held back until the caller has read; one that reads nothing for too long is cut, it holds a replica's slot. */
  #waitForCaller(controller: Dispatcher.DispatchController): void {
    const { response, stallMs } = this.#context;
    controller.pause();
    const stalled = setTimeout(() => response.destroy(), stallMs);
    const goOn = (): void => {
      clearTimeout(stalled);
      response.off('close', goOn).off('drain', goOn);
      controller.resume();
    };
    response.on('close', goOn).on('drain', goOn);
  }

  #onEnd(): void {
    const { response, clock } = this.#context;
    // Read once, so that a final stamp is to the digit what the usage row carries.
    this.#endedUs = clock.nowUs();
    const whole = this.#held;
    this.#held = null;
    if (!this.#sendHead(true)) return;
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

  /** False when there is nobody to send it to, or nothing that could be sent. */
  #sendHead(final: boolean): boolean {
    if (this.#sent) return true;
    if (!this.#head || this.#aborted) return false;
    this.#sent = true;
    if (this.#flush) clearImmediate(this.#flush);
    const { response } = this.#context;
    const { status, message } = this.#head;
    this.#trailers = !final && this.#mayTrail(this.#head);
    try {
      response.writeHead(status, message, this.#headersOut(final));
    } catch {
      this.#unsendable();
      return false;
    }
    if (this.#held) response.write(this.#held);
    this.#held = null;
    return true;
  }

  /** A replica's head that cannot be written is the replica's failure: it must end neither the router nor other requests. */
  #unsendable(): void {
    this.#sent = false;
    this.#held = null;
    this.abort();
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

  /** Only a chunked answer has trailers, and only a caller who says so takes them. */
  #mayTrail({ length, status }: Head): boolean {
    const { method, httpVersion, headers } = this.#context.request;
    if (length !== null || status === 204 || status === 304 || method === 'HEAD' || httpVersion === '1.0') return false;
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
