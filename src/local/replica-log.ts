import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { LogPage } from '../deployments/cluster.port.ts';
import type { Instant } from '../kernel/instant.ts';
import { readOrNull } from './runtime-folder.ts';

const STREAMS = ['stdout', 'stderr'] as const;
type Stream = (typeof STREAMS)[number];

/** A log file is turned over at this size and one older file is kept. Higher: more disk per replica; lower: less history. */
const ROTATE_BYTES = 8 * 1024 * 1024;
/** Of a file that is turned over so much of its end is kept. Higher: a replica that floods its log holds the runtime up and takes disk; lower: less of a burst. */
const COPY_BYTES = 32 * 1024 * 1024;
/** Copies of what came during the copy, each shorter than the one before. Higher: a flood is followed for longer; lower: more is lost of a burst. */
const COPY_ROUNDS = 8;
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
      const last = marks.at(-1) ?? { offset: 0, at: now };
      // A clock that goes back would put lines before older ones.
      if (end > last.offset) marks.push({ offset: end, at: Math.max(now, last.at) });
      if (marks.length > MAX_MARKS) marks.splice(0, MAX_MARKS / 2);
      if (size > rotateBytes) this.#rotate(stream);
    }
  }

  /** Copied, not renamed: the replica goes on writing to the file that it has open. Without room for the copy the older lines are lost. */
  #rotate(stream: Stream): void {
    const file = this.#file(stream);
    const base = this.#base(stream);
    // Not synced to disk: this must be short, and after a reboot the replica is another one.
    const tell = (end: number): void => writeFileSync(`${file}.base.new`, String(base + end));
    const isCopied = copyEndOrDrop(file, tell);
    if (!isCopied) {
      const end = sizeOf(file);
      truncateSync(file, 0);
      tell(end);
    }
    renameSync(`${file}.base.new`, `${file}.base`);
    if (isCopied) renameSync(copyOf(file), `${file}.1`);
    truncateSync(file, 0);
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

  /** The older file and the present one are one text; what was before them is gone. */
  #read(stream: Stream, from: number | null, limit: number): { lines: Line[]; start: number; end: number } {
    const base = this.#base(stream);
    const older = `${this.#file(stream)}.1`;
    const first = base - sizeOf(older);
    // What came since the last look has no time yet.
    const seen = this.#marks[stream].at(-1)?.offset ?? 0;
    const start = Math.max(first, from ?? seen - PAGE_BYTES);
    const old = start < base ? readRange(older, start - first, Math.min(PAGE_BYTES, base - start)) : Buffer.alloc(0);
    const begin = Math.max(start, base);
    const fresh = readRange(this.#file(stream), begin - base, Math.min(PAGE_BYTES - old.length, seen - begin));
    const lines = this.#lines(stream, Buffer.concat([old, fresh]), start);
    const kept = from === null ? lines.slice(-limit) : lines.slice(0, limit);
    return { lines: kept, start, end: lines.at(-1)?.end ?? start };
  }

  /** Whole lines only: what has no end yet comes with the next page, unless it fills a page. */
  #lines(stream: Stream, bytes: Buffer, offset: number): Line[] {
    const lines: Line[] = [];
    for (let from = 0; from < bytes.length;) {
      const newline = bytes.indexOf(10, from);
      const to = newline === -1 ? bytes.length : newline;
      const fillsPage = from === 0 && bytes.length === PAGE_BYTES;
      if (newline === -1 && !fillsPage) break;
      lines.push({
        stream,
        text: bytes.toString('utf8', from, to),
        at: this.#timeOf(stream, offset + to),
        end: offset + to + (newline === -1 ? 0 : 1),
      });
      from = to + 1;
    }
    return lines;
  }

  #timeOf(stream: Stream, offset: number): Instant {
    const marks = this.#marks[stream];
    return (marks.find((candidate) => candidate.offset >= offset) ?? marks.at(-1))?.at ?? 0;
  }

  #base(stream: Stream): number {
    return Number(readOrNull(`${this.#file(stream)}.base`) ?? 0);
  }

  #size(stream: Stream): number {
    return sizeOf(this.#file(stream));
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

const copyOf = (file: string): string => `${file}.turning`;

/** Copies the end of the file, tells how far in it the copy goes; false if there is no room: then neither a copy nor an older file is there. */
function copyEndOrDrop(file: string, tell: (copied: number) => void): boolean {
  try {
    let copied = Math.max(0, sizeOf(file) - COPY_BYTES);
    writeFileSync(copyOf(file), '', { mode: 0o600 });
    // What came during the copy comes along, unless it comes as fast as it can be copied: what follows until the emptying is lost.
    for (let round = 0; round < COPY_ROUNDS && copied < sizeOf(file); round += 1) {
      const piece = readRange(file, copied, COPY_BYTES);
      appendFileSync(copyOf(file), piece);
      copied += piece.length;
      tell(copied);
    }
    return true;
  } catch {
    rmSync(copyOf(file), { force: true });
    rmSync(`${file}.1`, { force: true });
    return false;
  }
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** At most so many bytes; fewer where the file ends, none where there is no file. */
function readRange(path: string, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(Math.max(0, Math.min(length, sizeOf(path) - position)));
  if (bytes.length === 0) return bytes;
  const file = openSync(path, 'r');
  const read = readSync(file, bytes, 0, bytes.length, position);
  closeSync(file);
  return bytes.subarray(0, read);
}
