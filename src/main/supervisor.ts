import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import { LeftBehind } from './left-behind.ts';

/** First wait before a restart. Lower: a crashing process eats a core; higher: a single crash is felt. */
const FIRST_BACKOFF_MS = 200;
/** Longest wait before a restart. Higher: slow recovery once the cause is gone. */
const LAST_BACKOFF_MS = 10_000;
/** A process that ran this long starts again with the first wait. */
const HEALTHY_MS = 30_000;
/** A process that does not stop by itself is killed after this long. Lower: requests are cut; higher: Ctrl-C seems to hang. */
const STOP_TIMEOUT_MS = 35_000;

/** MiB of a half of the young heap (Node's own: 16). Higher: an idle process keeps tens of megabytes of garbage; lower: it collects more. */
const SEMI_SPACE_MIB: Readonly<Record<string, number>> = { serve: 8, router: 2 };
/** Optimising undici's HTTP parser once costs 22 MB that are never given back, and gains nothing that the bench can see. */
const UNOPTIMISED_PARSER = ['--no-wasm-dynamic-tiering', '--no-wasm-tier-up'];

/** Threads beside the main one for collecting and compiling (Node's own: 4). More: an idle process spends a third of its CPU on waking them. */
const HELPER_THREADS = 1;

/** What Node is told for a process. */
export const nodeFlags = (name: string): readonly string[] => [
  '--enable-source-maps',
  `--max-semi-space-size=${SEMI_SPACE_MIB[name] ?? 16}`,
  `--v8-pool-size=${HELPER_THREADS}`,
  ...UNOPTIMISED_PARSER,
];

interface Child {
  readonly name: string;
  readonly process: ChildProcess;
  readonly exited: Promise<void>;
}

export interface SupervisorOptions {
  readonly dataDir: string;
  readonly entry: string;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
}

/** Keeps processes running: restarts each with back-off until it is told to stop. Their output goes to `<data dir>/logs`. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #running = new Map<string, Child>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #record: LeftBehind;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#record = new LeftBehind(options.dataDir);
    mkdirSync(this.#logFolder, { recursive: true, mode: 0o700 });
  }

  get #logFolder(): string {
    return join(this.#options.dataDir, 'logs');
  }

  /** Ends what a supervisor that was killed left running here. */
  endLeftBehind(): Promise<void> {
    return this.#record.end();
  }

  logFile(name: string): string {
    return join(this.#logFolder, `${name}.log`);
  }

  /** Starts `purser <name>` and keeps it running. `onExit` hears of every exit; answer true to give the process up. */
  start(name: string, onExit: (code: number | null) => boolean = () => false): void {
    this.#spawn(name, FIRST_BACKOFF_MS, onExit);
  }

  #spawn(name: string, backoffMs: number, onExit: (code: number | null) => boolean): void {
    this.#timers.delete(name);
    if (this.#stopping) return;
    const startedAt = this.#options.clock.now();
    const child = this.#spawnOnce(name);
    this.#running.set(name, child);
    this.#record.save([...this.#running.values()].flatMap(({ process: { pid } }) => pid ?? []));
    void child.exited.then(() => {
      this.#running.delete(name);
      if (this.#stopping || onExit(child.process.exitCode)) return;
      const lived = this.#options.clock.now() - startedAt;
      const wait = lived >= HEALTHY_MS ? FIRST_BACKOFF_MS : backoffMs;
      const next = Math.min(LAST_BACKOFF_MS, wait * 2);
      this.#timers.set(
        name,
        setTimeout(() => this.#spawn(name, next, onExit), wait),
      );
    });
  }

  #spawnOnce(name: string): Child {
    const log = openSync(this.logFile(name), 'a', 0o600);
    const { entry, env } = this.#options;
    // A process group of its own: Ctrl-C in a terminal reaches only the supervisor, which then stops its children in order.
    const child = spawn(process.execPath, [...nodeFlags(name), entry, name], {
      env,
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    return { name, process: child, exited };
  }

  pidOf(name: string): number | null {
    return this.#running.get(name)?.process.pid ?? null;
  }

  /** Nothing is started or restarted from now on. */
  freeze(): void {
    this.#stopping = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  /** SIGTERM, then SIGKILL after 35 s. Resolves when it is gone. */
  async stop(name: string): Promise<void> {
    const child = this.#running.get(name);
    if (!child) return;
    child.process.kill('SIGTERM');
    const killer = setTimeout(() => child.process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await child.exited;
    clearTimeout(killer);
  }
}
