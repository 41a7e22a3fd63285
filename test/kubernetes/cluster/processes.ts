// Processes by pid and start time, because pids are used again; and programs that end with the process that started them.
import { spawn, type ChildProcess } from 'node:child_process';
import { openSync, closeSync, readFileSync, readdirSync } from 'node:fs';
import { eventually } from '../../support/eventually.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of proc(5)'s stat. */
  readonly startedAt: string;
}

/** Long enough for an API server to say goodbye; a test cluster has nothing to save. */
const GRACE_MS = 5_000;
/** The kernel takes a namespace full of processes down, on a machine that is at work. */
const KILL_MS = 30_000;

export function identityOf(pid: number): ProcessIdentity {
  return { pid, startedAt: statOf(pid)[19] ?? '' };
}

/** Whether this very process lives; a zombie has ended. */
export function isAlive(known: ProcessIdentity): boolean {
  const stat = statOf(known.pid);
  return stat[19] === known.startedAt && known.startedAt !== '' && stat[0] !== 'Z';
}

/** Asks the process to end, and ends it after `graceMs`. Gone when this returns. */
export async function endProcess(known: ProcessIdentity, graceMs = GRACE_MS): Promise<void> {
  if (graceMs > 0) signal(known, 'SIGTERM');
  if (graceMs > 0 && (await hasEnded(known, graceMs))) return;
  signal(known, 'SIGKILL');
  if (!(await hasEnded(known, KILL_MS))) throw new Error(`process ${known.pid} does not end`);
}

function signal(known: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(known)) return;
  try {
    process.kill(known.pid, name);
  } catch {
    // It has ended in between.
  }
}

const hasEnded = (known: ProcessIdentity, withinMs: number): Promise<boolean> =>
  eventually(() => !isAlive(known), withinMs).catch(() => false);

/** The processes whose parent is `pid`. */
export function childrenOf(pid: number): ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && statOf(Number(name))[1] === String(pid))
    .map((name) => identityOf(Number(name)));
}

/** The fields of stat after the program's name, which may hold anything; none when there is no such process. */
function statOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

export interface ProgramOptions {
  readonly command: readonly string[];
  /** Output goes here, after what is there. */
  readonly log: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A program that runs until it is ended, or until this process ends, however that happens. */
export class Program {
  readonly identity: ProcessIdentity;
  readonly #log: string;
  readonly #child: ChildProcess;

  constructor(options: ProgramOptions) {
    this.#log = options.log;
    const output = openSync(options.log, 'a');
    // A session of its own, so that Ctrl-C reaches only the owner, who takes things down in order.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...options.command], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', output, output],
      detached: true,
    });
    closeSync(output);
    this.#child.on('error', () => undefined);
    this.#child.unref();
    this.identity = identityOf(this.#child.pid ?? -1);
  }

  get running(): boolean {
    return isAlive(this.identity);
  }

  /** The end of what the program said, to tell why it is not well. */
  lastWords(): string {
    return readFileSync(this.#log, 'utf8').slice(-2_000);
  }

  async end(graceMs?: number): Promise<void> {
    await endProcess(this.identity, graceMs);
  }
}
