import { closeSync, copyFileSync, mkdirSync, openSync, readSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { LogPage } from '../deployments/cluster.port.ts';
import type { Instant } from '../kernel/instant.ts';
import { readOrNull, writeDurably } from './runtime-folder.ts';

const STREAMS = ['stdout', 'stderr'] as const;
type Stream = (typeof STREAMS)[number];

/** A log file is turned over at this size and one older file is kept. Higher: more disk per replica; lower: less history. */
const ROTATE_BYTES = 8 * 1024 * 1024;
/** What one page looks at. Higher: memory per call; lower: more calls to read a burst. */
const PAGE_BYTES = 256 * 1024;
/** Marks of when the file had which size; older ones are joined. Higher: memory; lower: coarser times. */
const MAX_MARKS = 600;

interface Mark {
  readonly offset: number;
  readonly at: Instant;
}

/**
 * The output of one replica. The replica itself holds the files open, so that it can write while no runtime runs; the time of a line
 * is when the runtime first saw the file that long.
 */
export class ReplicaLog {
  readonly #folder: string;
  readonly #marks: Record<Stream, Mark[]> = { stdout: [], stderr: [] };

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** Descriptors to hand to a spawn; the caller closes them. Appending, so that a turned-over file can be emptied under the writer. */
  open(): { stdout: number; stderr: number; close(): void } {
    const [stdout, stderr] = STREAMS.map((stream) => openSync(this.#file(stream), 'a', 0o600)) as [number, number];
    return { stdout, stderr, close: () => [stdout, stderr].forEach((file) => closeSync(file)) };
  }

  /** Called each second: notes what has come and turns over what is too long. */
  watch(now: Instant, rotateBytes = ROTATE_BYTES): void {
    for (const stream of STREAMS) {
      const size = this.#size(stream);
      const marks = this.#marks[stream];
      const end = this.#base(stream) + size;
      if (end > (marks.at(-1)?.offset ?? 0)) marks.push({ offset: end, at: now });
      if (marks.length > MAX_MARKS) marks.splice(0, MAX_MARKS / 2);
      if (size > rotateBytes) this.#rotate(stream, end);
    }
  }

  #rotate(stream: Stream, end: number): void {
    const file = this.#file(stream);
    copyFileSync(file, `${file}.1`);
    truncateSync(file, 0);
    writeDurably(`${file}.base`, String(end));
  }

  page(options: { readonly cursor: string | null; readonly limit: number }, now: Instant): LogPage {
    this.watch(now);
    const from = options.cursor === null ? null : parseCursor(options.cursor);
    const read = STREAMS.map((stream) => this.#read(stream, from?.[stream] ?? null, options.limit));
    const merged = read.flatMap((part) => part.lines).sort((a, b) => a.at - b.at);
    const lines = from === null ? merged.slice(-options.limit) : merged.slice(0, options.limit);
    const ends = STREAMS.map((stream, i) =>
      endOf(
        lines.filter((line) => line.stream === stream),
        from === null ? read[i]?.end : read[i]?.start,
      ),
    );
    return { lines: lines.map(({ at, stream, text }) => ({ at, stream, text })), cursor: ends.join('-') };
  }

  #read(stream: Stream, from: number | null, limit: number): { lines: Line[]; start: number; end: number } {
    const base = this.#base(stream);
    const size = this.#size(stream);
    const start = Math.max(0, from === null ? size - PAGE_BYTES : from - base);
    const bytes = Buffer.alloc(Math.max(0, Math.min(PAGE_BYTES, size - start)));
    const file = this.#file(stream);
    if (bytes.length > 0) readAt(file, bytes, start);
    const lines = this.#lines(stream, bytes, base + start);
    const kept = from === null ? lines.slice(-limit) : lines.slice(0, limit);
    return { lines: kept, start: base + start, end: lines.at(-1)?.end ?? base + start };
  }

  /** Whole lines only: what has no end yet comes with the next page, unless it fills a page. */
  #lines(stream: Stream, bytes: Buffer, offset: number): Line[] {
    const lines: Line[] = [];
    for (let from = 0; from < bytes.length;) {
      const newline = bytes.indexOf(10, from);
      const to = newline === -1 ? bytes.length : newline;
      if (newline === -1 && bytes.length < PAGE_BYTES) break;
      lines.push({ stream, text: bytes.toString('utf8', from, to), at: this.#timeOf(stream, offset + to), end: offset + to + 1 });
      from = to + 1;
    }
    return lines;
  }

  #timeOf(stream: Stream, offset: number): Instant {
    const mark = this.#marks[stream].find((candidate) => candidate.offset >= offset);
    return mark?.at ?? Math.round(statSync(this.#file(stream)).mtimeMs);
  }

  #base(stream: Stream): number {
    return Number(readOrNull(`${this.#file(stream)}.base`) ?? 0);
  }

  #size(stream: Stream): number {
    return statSync(this.#file(stream), { throwIfNoEntry: false })?.size ?? 0;
  }

  #file(stream: Stream): string {
    return join(this.#folder, `${stream}.log`);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

interface Line {
  readonly stream: Stream;
  readonly text: string;
  readonly at: Instant;
  /** Offset of the next line in all that was ever written. */
  readonly end: number;
}

const endOf = (lines: readonly Line[], otherwise: number | undefined): number => lines.at(-1)?.end ?? otherwise ?? 0;

function parseCursor(cursor: string): Record<Stream, number> | null {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(cursor);
  return match ? { stdout: Number(match[1]), stderr: Number(match[2]) } : null;
}

function readAt(path: string, bytes: Buffer, position: number): void {
  const file = openSync(path, 'r');
  readSync(file, bytes, 0, bytes.length, position);
  closeSync(file);
}
