import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

/** Bytes to send, readable from any position, so that a broken upload can go on. */
export interface ArtifactSource {
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** The bytes from `offset` to the end. */
  readonly open: (offset: number) => AsyncIterable<Uint8Array>;
}

/** A file as an artifact; it is read twice (digest, upload) and never held in memory whole. */
export async function artifactFile(path: string): Promise<ArtifactSource> {
  const { size } = await stat(path);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return {
    digest: `sha256:${hash.digest('hex')}`,
    sizeBytes: size,
    open: (offset) => createReadStream(path, { start: offset }) as AsyncIterable<Uint8Array>,
  };
}
