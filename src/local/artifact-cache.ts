import { createHash } from 'node:crypto';
import { createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { pipeline } from 'node:stream/promises';
import type { Digest } from '../kernel/digest.ts';
import { DAY_MS, type Instant } from '../kernel/instant.ts';

/** A whole fetch. Higher: a hanging source holds a replica in starting; lower: large models on slow links never arrive. */
const FETCH_TIMEOUT_MS = 15 * 60_000;

/** An artifact that nobody runs is kept for this long. Higher: more disk; lower: going back to it fetches it again. */
export const KEEP_UNUSED_MS = DAY_MS;

/** Asking again does not help: the permission is no good, the artifact is not there, or its bytes are others. */
export class ArtifactRefused extends Error {
  override readonly name = 'ArtifactRefused';
}

export interface ArtifactSource {
  readonly digest: Digest;
  readonly url: string;
  readonly token: string;
}

/** Artifacts by digest on this machine, so that a restart needs no control plane. Only the runtime's own user can read the cache. */
export class ArtifactCache {
  readonly #folder: string;
  readonly #fetching = new Map<Digest, Promise<string>>();

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // What a killed runtime was fetching is begun anew.
    for (const name of readdirSync(folder)) if (name.endsWith('.part')) rmSync(join(folder, name), { force: true });
  }

  /** Deletes what is not in use and was not for a day. */
  prune(inUse: ReadonlySet<Digest>, now: Instant): void {
    for (const name of readdirSync(this.#folder)) {
      const file = join(this.#folder, name);
      if (name.endsWith('.part')) continue;
      if (inUse.has(`sha256:${name}`)) utimesSync(file, now / 1000, now / 1000);
      else if (now - statSync(file).mtimeMs > KEEP_UNUSED_MS) rmSync(file);
    }
  }

  /** The file with these bytes; fetched once however many ask. Rejects with a sentence for people. */
  async fetch(source: ArtifactSource): Promise<string> {
    const file = join(this.#folder, source.digest.replace('sha256:', ''));
    if (existsSync(file)) return file;
    const running =
      this.#fetching.get(source.digest) ?? this.#download(source, file).finally(() => this.#fetching.delete(source.digest));
    this.#fetching.set(source.digest, running);
    return running;
  }

  async #download(source: ArtifactSource, file: string): Promise<string> {
    const partial = `${file}.part`;
    const hash = createHash('sha256');
    try {
      const signal = AbortSignal.timeout(FETCH_TIMEOUT_MS);
      const answer = await fetch(source.url, { headers: { authorization: `Bearer ${source.token}` }, signal });
      if (isRefusal(answer.status)) throw new ArtifactRefused(`the artifact's source answered ${answer.status}`);
      if (!answer.ok || !answer.body) throw new Error(`the artifact's source answered ${answer.status}`);
      const body = Readable.fromWeb(answer.body as ReadableStream<Uint8Array>);
      body.on('data', (chunk: Buffer) => hash.update(chunk));
      await pipeline(body, createWriteStream(partial, { mode: 0o600 }));
      const found = `sha256:${hash.digest('hex')}`;
      if (found !== source.digest) throw new ArtifactRefused(`the artifact has digest ${found}, wanted ${source.digest}`);
      renameSync(partial, file);
      return file;
    } catch (error) {
      rmSync(partial, { force: true });
      const Kind = error instanceof ArtifactRefused ? ArtifactRefused : Error;
      throw new Kind(`The artifact could not be fetched: ${(error as Error).message}.`, { cause: error });
    }
  }
}

/** Told to wait or to come back is not told to go away. */
const isRefusal = (status: number): boolean => status >= 400 && status < 500 && status !== 408 && status !== 429;
