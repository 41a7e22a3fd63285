import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Scope } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { CLAIM_MS, type Artifact, type ArtifactStore } from './artifact-store.port.ts';

/** How often a writer says that it lives. Higher leaves fewer tries before it is taken over, lower writes more per upload. */
const RENEW_MS = 5_000;

/** Somebody else sends the artifact now: this writer must not touch it any more. */
export class UploadTakenOver extends Error {
  override readonly name = 'UploadTakenOver';
}

export interface UploadClaimDeps {
  readonly database: Database;
  readonly store: ArtifactStore;
  readonly clock: Clock;
  readonly scope: Scope;
  readonly artifact: Artifact;
  readonly writer: Id;
}

/** The right of one writer to the staged bytes of one artifact, among all instances. It was taken before this is made. */
export class UploadClaim {
  readonly #deps: UploadClaimDeps;
  readonly #timer: NodeJS.Timeout;
  #heldAt: Instant;
  #isLost = false;

  constructor(deps: UploadClaimDeps, takenAt: Instant) {
    this.#deps = deps;
    this.#heldAt = takenAt;
    this.#timer = setInterval(() => void this.#renew().catch(() => undefined), RENEW_MS);
    this.#timer.unref();
  }

  /** The same chunks; throws `UploadTakenOver` in place of the first that comes too late. */
  async *guard(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      if (this.#isLost || this.#deps.clock.now() - this.#heldAt >= CLAIM_MS) await this.confirm();
      yield chunk;
    }
  }

  /** Asks the database; throws `UploadTakenOver`. */
  async confirm(): Promise<void> {
    await this.#renew();
    if (this.#isLost) throw new UploadTakenOver('another writer has taken over');
  }

  /** False also where the database cannot say: then it is held as far as anybody knows. */
  async isTakenOver(): Promise<boolean> {
    await this.#renew().catch(() => undefined);
    return this.#isLost;
  }

  /** The next writer may come at once. One that cannot be told so comes when the claim has run out. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    const { database, scope, store, artifact, writer } = this.#deps;
    await database.write(scope, (tx) => store.release(tx, artifact, writer)).catch(() => undefined);
  }

  async #renew(): Promise<void> {
    const { database, scope, store, artifact, writer, clock } = this.#deps;
    const asked = clock.now();
    const held = await database.write(scope, (tx) => store.renew(tx, artifact, writer, asked));
    if (held) this.#heldAt = asked;
    else this.#isLost = true;
  }
}
