import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BlobStoreFull, type BlobKey, type BlobStore } from './blob-store.port.ts';

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** Blobs as files, `<folder>/<project>/<hex digest>`; what is staged ends in `.part`. */
export class DiskBlobStore implements BlobStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async stagedBytes(key: BlobKey): Promise<number> {
    return (await sizeOf(this.#staged(key))) ?? 0;
  }

  async append(key: BlobKey, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#staged(key);
    await asFull(() => mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE }));
    const file = await asFull(() => open(path, 'a', FILE_MODE));
    try {
      for await (const chunk of chunks) await write(file, chunk);
      await asFull(() => file.sync());
      return (await file.stat()).size;
    } finally {
      await file.close();
    }
  }

  openStaged(key: BlobKey): AsyncIterable<Uint8Array> {
    return createReadStream(this.#staged(key));
  }

  async commit(key: BlobKey): Promise<void> {
    await asFull(() => rename(this.#staged(key), this.#path(key)));
    await syncFolder(dirname(this.#path(key)));
  }

  async discard(key: BlobKey): Promise<void> {
    await rm(this.#staged(key), { force: true });
  }

  async remove(key: BlobKey): Promise<void> {
    await this.discard(key);
    await rm(this.#path(key), { force: true });
  }

  size(key: BlobKey): Promise<number | null> {
    return sizeOf(this.#path(key));
  }

  open(key: BlobKey): AsyncIterable<Uint8Array> {
    return createReadStream(this.#path(key));
  }

  #path({ projectId, digest }: BlobKey): string {
    return join(this.#folder, projectId, digest.slice('sha256:'.length));
  }

  #staged(key: BlobKey): string {
    return `${this.#path(key)}.part`;
  }
}

/** A write may be short, on a full disk in particular. */
async function write(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length;) {
    const { bytesWritten } = await asFull(() => file.write(chunk, at));
    at += bytesWritten;
  }
}

/** A rename is durable only once its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

async function asFull<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new BlobStoreFull('no space left', { cause: error });
    throw error;
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : null);
