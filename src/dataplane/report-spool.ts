import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { UsageReport } from '../traffic/router-contract/usage-report.ts';

/** Disk that unsent reports may take. Higher: a long outage fills the disk; lower: a long outage loses usage (which becomes idle). */
const MAX_SPOOL_BYTES = 512 * 1024 * 1024;

interface Line {
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
}

/** Reports of one incarnation on disk, in order, until they are acknowledged. */
export class ReportSpool {
  readonly incarnation: string;
  readonly #file: string;
  #fd: number;
  #size = 0;
  #last = 0;
  #pending: Line[] = [];

  constructor(folder: string, incarnation: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.incarnation = incarnation;
    this.#file = join(folder, `${incarnation}.jsonl`);
    this.#fd = openSync(this.#file, 'a+', 0o600);
    this.#read();
  }

  get pending(): number {
    return this.#pending.length;
  }

  get lastSequence(): number {
    return this.#last;
  }

  /** Writes and syncs; false when the spool is full and the report is lost. */
  append(report: UsageReport): boolean {
    const line = Buffer.from(`${JSON.stringify(report)}\n`);
    if (this.#size + line.length > MAX_SPOOL_BYTES || !this.#write(line)) return false;
    this.#pending.push({ sequence: report.sequence, offset: this.#size, length: line.length - 1 });
    this.#size += line.length;
    this.#last = report.sequence;
    return true;
  }

  /** A disk that is full may take a part of a line: it is taken back, or no later report would be where it is looked for. */
  #write(line: Buffer): boolean {
    let whole = false;
    try {
      if (writeSync(this.#fd, line) < line.length) return false;
      fsyncSync(this.#fd);
      whole = true;
    } finally {
      if (!whole) truncateSync(this.#file, this.#size);
    }
    return true;
  }

  /** JSON of the oldest unacknowledged report. */
  first(): { readonly sequence: number; readonly json: string } | null {
    const line = this.#pending[0];
    if (!line) return null;
    const bytes = Buffer.alloc(line.length);
    readSync(this.#fd, bytes, 0, line.length, line.offset);
    return { sequence: line.sequence, json: bytes.toString() };
  }

  acknowledge(sequence: number): void {
    while ((this.#pending[0]?.sequence ?? Infinity) <= sequence) this.#pending.shift();
    if (this.#pending.length === 0 && this.#size > 0) this.#empty();
    writeFileSync(`${this.#file}.ack.new`, String(sequence), { mode: 0o600 });
    renameSync(`${this.#file}.ack.new`, `${this.#file}.ack`);
  }

  remove(): void {
    closeSync(this.#fd);
    rmSync(this.#file, { force: true });
    rmSync(`${this.#file}.ack`, { force: true });
  }

  close(): void {
    closeSync(this.#fd);
  }

  #empty(): void {
    truncateSync(this.#file, 0);
    this.#size = 0;
  }

  /** A line that a crash cut short was never sent: it and what follows is dropped. */
  #read(): void {
    const acknowledged = readNumber(`${this.#file}.ack`);
    const bytes = readFileSync(this.#file);
    let offset = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, offset)) {
      const sequence = sequenceOf(bytes.subarray(offset, end));
      if (sequence === null) break;
      if (sequence > acknowledged) this.#pending.push({ sequence, offset, length: end - offset });
      this.#last = sequence;
      offset = end + 1;
    }
    this.#last = Math.max(this.#last, acknowledged);
    if (offset < statSync(this.#file).size) truncateSync(this.#file, offset);
    this.#size = offset;
  }
}

/** Incarnations that an earlier process left behind. */
export function leftIncarnations(folder: string): string[] {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => name.slice(0, -'.jsonl'.length))
    .sort();
}

function readNumber(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    return 0;
  }
}

function sequenceOf(line: Buffer): number | null {
  try {
    return (JSON.parse(line.toString()) as UsageReport).sequence;
  } catch {
    return null;
  }
}
