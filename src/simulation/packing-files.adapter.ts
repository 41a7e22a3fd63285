import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { PackNode, PackPod } from '../scheduler/pack-cluster.ts';
import { PackingError, parseNodes, parsePods } from './parse-packing.ts';

/** A CSV file, plain or gzipped by its content. Throws `PackingError`. */
export const readNodes = (path: string): PackNode[] => parseNodes(readText(path), path);

/** A CSV file, plain or gzipped by its content. Throws `PackingError`. */
export const readPods = (path: string): PackPod[] => parsePods(readText(path), path);

function readText(path: string): string {
  const bytes = readBytes(path);
  const zipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
  try {
    return (zipped ? gunzipSync(bytes) : bytes).toString('utf8');
  } catch {
    throw new PackingError(`${path} is a broken gzip file; copy it again.`);
  }
}

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR')
      throw new PackingError(`${path} is no file; name a CSV file, plain or gzipped.`);
    throw error;
  }
}
