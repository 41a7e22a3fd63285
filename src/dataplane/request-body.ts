import type { IncomingMessage } from 'node:http';
import { REPLAY_LIMIT_BYTES } from './decide-retry.ts';

/** The caller closed before its request was whole. */
export class CallerGone extends Error {
  override readonly name = 'CallerGone';
}

/** A piece of a body and the way to the next; whoever holds an early link can read all from there on. */
interface Link {
  readonly chunk: Buffer | null;
  /** Null = not asked for yet; resolves with null at the end. */
  next: Promise<Link | null> | null;
}

/** A request's body that can be sent again while it is small or unsent; nothing here looks into it. */
export class RequestBody {
  readonly #request: IncomingMessage;
  readonly #declared: number | null;
  readonly #large: boolean;
  #source: AsyncIterator<Buffer> | null = null;
  /** Where a reader begins; null once the beginning is no longer kept. */
  #first: Link | null = { chunk: null, next: null };
  #whole: Buffer[] | null = null;
  /** Bytes received from the caller. */
  bytes = 0;

  constructor(request: IncomingMessage) {
    this.#request = request;
    const length = request.headers['content-length'];
    const chunked = request.headers['transfer-encoding'] !== undefined;
    this.#declared = chunked ? null : Number(length ?? 0);
    this.#large = this.#declared !== null && this.#declared > REPLAY_LIMIT_BYTES;
  }

  /** All that was received so far can be sent again. */
  get replayable(): boolean {
    return this.#first !== null;
  }

  /** Reads a small body whole before a replica is taken: a slow caller must not hold a replica's slot. Rejects when the caller goes away. */
  async ready(): Promise<void> {
    if (this.#declared === null || this.#declared === 0 || this.#large) return;
    this.#whole = await this.#readWhole();
  }

  /** What undici takes: null without a body, bytes when they are all here and few, else a stream with back-pressure. */
  open(): null | Buffer | readonly Buffer[] | AsyncIterable<Buffer> {
    if (this.#declared === 0) return null;
    if (!this.#whole) return this.#stream({ link: this.#beginning() });
    // Copying the chunks into one buffer would cost more than writing them one by one.
    return this.#whole.length === 1 && this.#whole[0] ? this.#whole[0] : this.#whole;
  }

  #readWhole(): Promise<Buffer[]> {
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

  #beginning(): Link {
    if (!this.#first) throw new Error('the beginning of the body is no longer kept');
    return this.#first;
  }

  /** What it has passed by is let go, so that a long body does not stay in memory. */
  async *#stream(at: { link: Link | null }): AsyncGenerator<Buffer> {
    while (at.link) {
      if (at.link.chunk) yield at.link.chunk;
      at.link = await this.#after(at.link);
    }
  }

  /**
   * The same for all who ask: a replica that died may still be asking for the next piece when the request goes to another one, and
   * what each of them read by itself would be missing from the other.
   */
  #after(link: Link): Promise<Link | null> {
    link.next ??= this.#read();
    return link.next;
  }

  async #read(): Promise<Link | null> {
    this.#source ??= this.#request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
    const piece = await this.#source.next();
    if (piece.done) return null;
    this.bytes += piece.value.length;
    if (this.#large || this.bytes > REPLAY_LIMIT_BYTES) this.#first = null;
    return { chunk: piece.value, next: null };
  }
}
