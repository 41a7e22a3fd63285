import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identityOf, isSameProcess, type ProcessIdentity } from '../persistence/process-identity.ts';

/** As the supervisor's own limit. Lower: requests are cut; higher: the start seems to hang. */
const STOP_TIMEOUT_MS = 35_000;
const POLL_MS = 50;

/**
 * Which processes a supervisor runs, on disk: when it is killed they serve on, and its successor in the same data folder ends them,
 * because they hold its ports.
 */
export class LeftBehind {
  readonly #file: string;
  #saving: Promise<void> = Promise.resolve();

  constructor(dataDir: string) {
    this.#file = join(dataDir, 'supervised.json');
  }

  /** In the order of the calls; a full disk costs no more than the record. */
  save(pids: readonly number[]): void {
    this.#saving = this.#saving.then(() => this.#write(pids)).catch(() => undefined);
  }

  async #write(pids: readonly number[]): Promise<void> {
    const identities = await Promise.all(pids.map(identityOf));
    writeFileSync(`${this.#file}.new`, JSON.stringify(identities), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** Ends what an earlier supervisor left: SIGTERM for all, SIGKILL after 35 s. Resolves when nothing of it runs. */
  async end(): Promise<void> {
    const left = this.#read();
    const limit = STOP_TIMEOUT_MS / POLL_MS;
    for (let look = 0; look <= limit; look += 1) {
      const running = await stillRunning(left);
      if (running.length === 0) return;
      if (look === 0 || look === limit) signal(running, look === 0 ? 'SIGTERM' : 'SIGKILL');
      await sleep(POLL_MS);
    }
  }

  #read(): readonly ProcessIdentity[] {
    try {
      return JSON.parse(readFileSync(this.#file, 'utf8')) as ProcessIdentity[];
    } catch {
      return [];
    }
  }
}

async function stillRunning(processes: readonly ProcessIdentity[]): Promise<readonly ProcessIdentity[]> {
  const same = await Promise.all(processes.map(isSameProcess));
  return processes.filter((_process, i) => same[i]);
}

function signal(processes: readonly ProcessIdentity[], name: NodeJS.Signals): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, name);
    } catch {
      // It has just ended.
    }
  }
}
