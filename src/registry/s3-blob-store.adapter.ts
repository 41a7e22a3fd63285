import type { S3Client } from '@aws-sdk/client-s3';
import { BlobStoreFull, type BlobKey, type BlobStore } from './blob-store.port.ts';

export interface S3Options {
  /** Undefined = Amazon's own for the region. */
  readonly endpoint: string | undefined;
  readonly bucket: string;
  readonly region: string;
  /** Undefined = the SDK's own chain of credentials. */
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
}

/** One piece in memory per upload. Higher costs memory, lower costs requests; S3 wants at least 5 MiB per part but the last. */
const PIECE_BYTES = 8 * 1024 * 1024;
/** S3's own limit. */
const MAX_PARTS = 10_000;
const OFFSET_DIGITS = 16;
const FULL = new Set(['InsufficientStorage', 'XMinioStorageFull', 'QuotaExceeded', 'EntityTooLarge']);

type Sdk = typeof import('@aws-sdk/client-s3');

interface Connection {
  readonly sdk: Sdk;
  readonly client: S3Client;
}

interface Piece {
  readonly key: string;
  readonly bytes: number;
}

/**
 * Blobs as objects, `blobs/<project>/<hex digest>`. What arrives is kept as objects of its own, `staging/…/<offset>`, because the parts
 * of an unfinished multipart upload cannot be read back, and a resumed upload must be hashed from its start.
 */
export class S3BlobStore implements BlobStore {
  readonly #options: S3Options;
  #connected: Promise<Connection> | null = null;

  constructor(options: S3Options) {
    this.#options = options;
  }

  async stagedBytes(key: BlobKey): Promise<number> {
    return sum(await this.#pieces(key));
  }

  async append(key: BlobKey, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    let offset = await this.stagedBytes(key);
    for await (const piece of piecesOf(chunks, PIECE_BYTES)) {
      await this.#put(`${stagingOf(key)}${String(offset).padStart(OFFSET_DIGITS, '0')}`, piece.bytes);
      offset += piece.bytes.length;
      if (piece.brokenBy) throw piece.brokenBy.error;
    }
    return offset;
  }

  async *openStaged(key: BlobKey): AsyncGenerator<Uint8Array> {
    for (const piece of await this.#pieces(key)) yield* this.#get(piece.key);
  }

  async commit(key: BlobKey): Promise<void> {
    const pieces = await this.#pieces(key);
    const total = sum(pieces);
    if (total <= PIECE_BYTES) await this.#put(blobOf(key), await collect(this.openStaged(key), total));
    else await this.#putInParts(key, Math.max(PIECE_BYTES, Math.ceil(total / MAX_PARTS)));
    await this.#remove(pieces);
  }

  async discard(key: BlobKey): Promise<void> {
    await this.#remove(await this.#pieces(key));
  }

  async remove(key: BlobKey): Promise<void> {
    await this.discard(key);
    await this.#remove([{ key: blobOf(key), bytes: 0 }]);
  }

  async size(key: BlobKey): Promise<number | null> {
    const { sdk, client } = await this.#connect();
    try {
      const head = await client.send(new sdk.HeadObjectCommand({ Bucket: this.#options.bucket, Key: blobOf(key) }));
      return head.ContentLength ?? null;
    } catch (error) {
      if (error instanceof sdk.NotFound) return null;
      throw error;
    }
  }

  async *open(key: BlobKey): AsyncGenerator<Uint8Array> {
    yield* this.#get(blobOf(key));
  }

  /** Ends the connections. */
  async close(): Promise<void> {
    if (this.#connected) (await this.#connected).client.destroy();
  }

  /** The SDK is large: it is loaded by those who use it only. */
  #connect(): Promise<Connection> {
    return (this.#connected ??= import('@aws-sdk/client-s3').then((sdk) => ({ sdk, client: this.#client(sdk) })));
  }

  #client(sdk: Sdk): S3Client {
    const { endpoint, region, accessKey, secretKey } = this.#options;
    return new sdk.S3Client({
      region,
      ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
      ...(accessKey !== undefined && secretKey !== undefined
        ? { credentials: { accessKeyId: accessKey, secretAccessKey: secretKey } }
        : {}),
    });
  }

  async #pieces(key: BlobKey): Promise<Piece[]> {
    const { sdk, client } = await this.#connect();
    const pieces: Piece[] = [];
    let token: string | undefined;
    do {
      const where = { Bucket: this.#options.bucket, Prefix: stagingOf(key) };
      const page = await client.send(
        new sdk.ListObjectsV2Command({ ...where, ...(token === undefined ? {} : { ContinuationToken: token }) }),
      );
      for (const object of page.Contents ?? []) if (object.Key) pieces.push({ key: object.Key, bytes: object.Size ?? 0 });
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return pieces;
  }

  async #put(name: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    const { sdk, client } = await this.#connect();
    await asFull(client.send(new sdk.PutObjectCommand({ Bucket: this.#options.bucket, Key: name, Body: bytes })));
  }

  async *#get(name: string): AsyncGenerator<Uint8Array> {
    const { sdk, client } = await this.#connect();
    const { Body } = await client.send(new sdk.GetObjectCommand({ Bucket: this.#options.bucket, Key: name }));
    if (Body) yield* Body as AsyncIterable<Uint8Array>;
  }

  /** S3 shows the object only when all parts are there; an unfinished one is given up, so that it costs nothing. */
  async #putInParts(key: BlobKey, partBytes: number): Promise<void> {
    const { sdk, client } = await this.#connect();
    const target = { Bucket: this.#options.bucket, Key: blobOf(key) };
    const { UploadId } = await asFull(client.send(new sdk.CreateMultipartUploadCommand(target)));
    try {
      const Parts: { ETag: string | undefined; PartNumber: number }[] = [];
      for await (const { bytes } of piecesOf(this.openStaged(key), partBytes)) {
        const PartNumber = Parts.length + 1;
        const { ETag } = await asFull(client.send(new sdk.UploadPartCommand({ ...target, UploadId, PartNumber, Body: bytes })));
        Parts.push({ ETag, PartNumber });
      }
      await asFull(client.send(new sdk.CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } })));
    } catch (error) {
      await client.send(new sdk.AbortMultipartUploadCommand({ ...target, UploadId })).catch(() => undefined);
      throw error;
    }
  }

  async #remove(pieces: readonly Piece[]): Promise<void> {
    const { sdk, client } = await this.#connect();
    for (const { key } of pieces) await client.send(new sdk.DeleteObjectCommand({ Bucket: this.#options.bucket, Key: key }));
  }
}

const nameOf = ({ projectId, digest }: BlobKey): string => `${projectId}/${digest.slice('sha256:'.length)}`;
const blobOf = (key: BlobKey): string => `blobs/${nameOf(key)}`;
const stagingOf = (key: BlobKey): string => `staging/${nameOf(key)}/`;
const sum = (pieces: readonly Piece[]): number => pieces.reduce((all, piece) => all + piece.bytes, 0);

interface CollectedPiece {
  readonly bytes: Uint8Array;
  /** Set on the last piece when the source failed: to be thrown once the piece is kept. */
  readonly brokenBy: { readonly error: Error } | null;
}

/** Chunks put together to pieces of exactly `pieceBytes`, but for the last. */
async function* piecesOf(chunks: AsyncIterable<Uint8Array>, pieceBytes: number): AsyncGenerator<CollectedPiece> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  let brokenBy: CollectedPiece['brokenBy'] = null;
  const source = chunks[Symbol.asyncIterator]();
  for (;;) {
    const item = await source.next().catch((error: unknown) => ({ done: true as const, value: undefined, error }));
    if ('error' in item) brokenBy = { error: item.error instanceof Error ? item.error : new Error(String(item.error)) };
    if (item.done) break;
    held.push(item.value);
    bytes += item.value.length;
    while (bytes >= pieceBytes) {
      const all = Buffer.concat(held);
      yield { bytes: all.subarray(0, pieceBytes), brokenBy: null };
      held = [all.subarray(pieceBytes)];
      bytes -= pieceBytes;
    }
  }
  if (bytes > 0 || brokenBy) yield { bytes: Buffer.concat(held), brokenBy };
}

async function collect(chunks: AsyncIterable<Uint8Array>, total: number): Promise<Uint8Array> {
  const all = new Uint8Array(total);
  let at = 0;
  for await (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

async function asFull<T>(sent: Promise<T>): Promise<T> {
  try {
    return await sent;
  } catch (error) {
    if (error instanceof Error && FULL.has(error.name)) throw new BlobStoreFull('no space left', { cause: error });
    throw error;
  }
}
