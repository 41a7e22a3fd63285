import type { IncomingMessage } from 'node:http';
import { REPLAY_LIMIT_BYTES } from './decide-retry.ts';

/** The caller closed before its request was whole. */
export class CallerGone extends Error {
  override readonly name = 'CallerGone';
}

/** A request's body that can be sent again while it is small or unsent; nothing here looks into it. */
export class RequestBody {
  readonly #request: IncomingMessage;
  readonly #declared: number | null;
  #kept: Buffer[] | null = [];
  #ended = false;
  /** Bytes received from the caller. */
  bytes = 0;

  constructor(request: IncomingMessage) {
    this.#request = request;
    const length = request.headers['content-length'];
    const chunked = request.headers['transfer-encoding'] !== undefined;
    this.#declared = chunked ? null : Number(length ?? 0);
  }

  /** All that was received so far can be sent again. */
  get replayable(): boolean {
    return this.#kept !== null;
  }

  /** Reads a small body whole before a replica is taken: a slow caller must not hold a replica's slot. Rejects when the caller goes away. */
  async ready(): Promise<void> {
    if (this.#declared === null || this.#declared === 0 || this.#declared > REPLAY_LIMIT_BYTES) return;
    this.#kept = await this.#whole();
    this.#ended = true;
  }

  /** What undici takes: null without a body, bytes when they are all here and few, else a stream with back-pressure. */
  open(): null | Buffer | readonly Buffer[] | AsyncIterable<Buffer> {
    if (this.#declared === 0) return null;
    if (!this.#ended || !this.#kept) return this.#stream();
    // Copying the chunks into one buffer would cost more than writing them one by one.
    return this.#kept.length === 1 && this.#kept[0] ? this.#kept[0] : this.#kept;
  }

  #whole(): Promise<Buffer[]> {
    const chunks: Buffer[] = [];
    return new Promise((resolve, reject) => {
      this.#request.on('data', (chunk: Buffer) => {
        this.bytes += chunk.length;
        chunks.push(chunk);
      });
      this.#request.once('end', () => resolve(chunks));
      this.#request.once('close', () => reject(new CallerGone()));
    });
  }

  async *#stream(): AsyncGenerator<Buffer> {
    for (const chunk of [...(this.#kept ?? [])]) yield chunk;
    const source = this.#request.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
    for await (const chunk of source) {
      this.bytes += chunk.length;
      this.#keep(chunk);
      yield chunk;
    }
    this.#ended = true;
  }

  #keep(chunk: Buffer): void {
    if (this.bytes > REPLAY_LIMIT_BYTES) this.#kept = null;
    this.#kept?.push(chunk);
  }
}
