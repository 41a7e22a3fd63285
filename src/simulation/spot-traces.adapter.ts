import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { groupTraces, parseSpotPrices, parseTrace, parseTraceIndex, TraceError, type SpotPrices } from './parse-spot-traces.ts';
import type { SpotGroup } from './spot-market.ts';

/** The groups of a folder with `index.csv` and the files that it names, plain or gzipped (`.gz`). Throws `TraceError`. */
export function readSpotTraces(folder: string, prices?: SpotPrices): SpotGroup[] {
  const index = parseTraceIndex(readText(folder, 'index.csv'));
  return groupTraces(
    index.map((entry) => ({ ...entry, available: parseTrace(readText(folder, entry.file), entry) })),
    prices,
  );
}

/** A folder's `prices.csv`, plain or gzipped. Throws `TraceError`. */
export const readSpotPrices = (folder: string): SpotPrices => parseSpotPrices(readText(folder, 'prices.csv'), 'prices.csv');

function readText(folder: string, file: string): string {
  const text = readOrNull(join(folder, file))?.toString('utf8') ?? unzipped(join(folder, `${file}.gz`));
  if (text === null) throw new TraceError(`${join(folder, file)} is not there (nor ${file}.gz).`);
  return text;
}

function unzipped(path: string): string | null {
  const bytes = readOrNull(path);
  try {
    return bytes && gunzipSync(bytes).toString('utf8');
  } catch {
    throw new TraceError(`${path} is not a gzip file.`);
  }
}

function readOrNull(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return null;
    throw error;
  }
}
