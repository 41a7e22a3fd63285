// Writes tar archives that are the same for the same content: sorted names, no times, owner root. Long names go into pax records.
import { closeSync, openSync, readSync, readdirSync, readlinkSync, lstatSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK = 512;
/** Read in pieces, so that a large program does not stand in memory at once. */
const PIECE_BYTES = 1024 * 1024;

export type Sink = (chunk: Buffer) => void;

export type TarEntry =
  | { readonly kind: 'folder'; readonly name: string; readonly mode?: number }
  | { readonly kind: 'link'; readonly name: string; readonly target: string }
  | { readonly kind: 'content'; readonly name: string; readonly content: Buffer; readonly mode?: number }
  | { readonly kind: 'file'; readonly name: string; readonly path: string; readonly mode: number; readonly size: number };

export function writeTar(entries: Iterable<TarEntry>, sink: Sink): void {
  for (const entry of entries) writeEntry(entry, sink);
  sink(Buffer.alloc(2 * BLOCK));
}

/** All of a folder under another name, in the order of the names. `skip` gets paths relative to the folder. */
export function* folderEntries(folder: string, as: string, skip: (path: string) => boolean = () => false): Generator<TarEntry> {
  yield { kind: 'folder', name: as };
  yield* inside(folder, as, '', skip);
}

function* inside(folder: string, as: string, below: string, skip: (path: string) => boolean): Generator<TarEntry> {
  for (const name of readdirSync(join(folder, below)).sort()) {
    const relative = below === '' ? name : `${below}/${name}`;
    if (skip(relative)) continue;
    const path = join(folder, relative);
    const stats = lstatSync(path);
    if (stats.isSymbolicLink()) yield { kind: 'link', name: `${as}/${relative}`, target: readlinkSync(path) };
    else if (stats.isFile()) yield fileEntry(path, `${as}/${relative}`);
    else if (stats.isDirectory()) {
      yield { kind: 'folder', name: `${as}/${relative}` };
      yield* inside(folder, as, relative, skip);
    }
  }
}

/** Modes are reduced to "may be run or not", which is all that survives a checkout. */
export function fileEntry(path: string, name: string): TarEntry {
  const stats = lstatSync(path);
  return { kind: 'file', name, path, size: stats.size, mode: (stats.mode & 0o111) === 0 ? 0o644 : 0o755 };
}

function writeEntry(entry: TarEntry, sink: Sink): void {
  writeHeader(headerOf(entry), sink);
  if (entry.kind === 'content') sink(entry.content);
  if (entry.kind === 'file') copyFile(entry.path, entry.size, sink);
  pad(headerOf(entry).size, sink);
}

function headerOf(entry: TarEntry): Header {
  switch (entry.kind) {
    case 'folder':
      return { name: `${entry.name}/`, type: '5', mode: entry.mode ?? 0o755, size: 0 };
    case 'link':
      return { name: entry.name, type: '2', mode: 0o777, size: 0, target: entry.target };
    case 'content':
      return { name: entry.name, type: '0', mode: entry.mode ?? 0o644, size: entry.content.length };
    case 'file':
      return { name: entry.name, type: '0', mode: entry.mode, size: entry.size };
  }
}

function copyFile(path: string, size: number, sink: Sink): void {
  const file = openSync(path, 'r');
  try {
    for (let left = size; left > 0;) {
      const piece = Buffer.alloc(Math.min(left, PIECE_BYTES));
      const count = readSync(file, piece);
      if (count === 0) throw new Error(`${path} became shorter while it was read`);
      sink(piece.subarray(0, count));
      left -= count;
    }
  } finally {
    closeSync(file);
  }
}

function pad(size: number, sink: Sink): void {
  const rest = size % BLOCK;
  if (rest > 0) sink(Buffer.alloc(BLOCK - rest));
}

interface Header {
  readonly name: string;
  readonly type: string;
  readonly mode: number;
  readonly size: number;
  readonly target?: string;
}

function writeHeader(header: Header, sink: Sink): void {
  const records = [
    ...(Buffer.byteLength(header.name) > 100 ? [paxRecord('path', header.name)] : []),
    ...(Buffer.byteLength(header.target ?? '') > 100 ? [paxRecord('linkpath', header.target ?? '')] : []),
  ];
  if (records.length > 0) {
    const text = Buffer.from(records.join(''));
    sink(headerBlock({ name: 'pax', type: 'x', mode: 0o644, size: text.length }));
    sink(text);
    pad(text.length, sink);
  }
  sink(headerBlock(header));
}

/** "LENGTH key=value\n", where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(body);
  while (Buffer.byteLength(`${length}${body}`) !== length) length = Buffer.byteLength(`${length}${body}`);
  return `${length}${body}`;
}

function headerBlock(header: Header): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number) => block.write(value.toString(8).padStart(width - 1, '0'), at);
  block.write(header.name.slice(0, 100), 0, 100);
  octal(header.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(header.size, 124, 12);
  octal(0, 136, 12);
  block.write('        ', 148);
  block.write(header.type, 156);
  block.write((header.target ?? '').slice(0, 100), 157, 100);
  block.write('ustar\u000000', 257);
  const sum = block.reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}
