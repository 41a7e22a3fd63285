import { readdirSync, readFileSync } from 'node:fs';
import type { ReplicaProcess } from './replica-record.ts';

/** The variable that marks a process as a replica of ours. */
export const NONCE_VARIABLE = 'PURSER_REPLICA_NONCE';

/** Field 22 of `/proc/<pid>/stat` (proc(5)), counted from after the name in parentheses. */
const START_TIME_FIELD = 22 - 3;

interface Stat {
  readonly state: string;
  readonly startedAt: string;
}

function statOf(pid: number): Stat | null {
  const text = readProc(`/proc/${pid}/stat`);
  if (text === null) return null;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', startedAt: fields[START_TIME_FIELD] ?? '' };
}

/** When the process started, in the kernel's ticks since boot; empty if there is none. */
export const startTimeOf = (pid: number): string => statOf(pid)?.startedAt ?? '';

/** True if that very process still runs: same pid, same start. A zombie has ended. */
export function isRunning(process: ReplicaProcess): boolean {
  if (process.pid === null) return false;
  const stat = statOf(process.pid);
  return stat !== null && stat.state !== 'Z' && stat.startedAt === process.startedAt;
}

/** True if it runs and carries our nonce: only then may a successor take it over. */
export const isOurs = (process: ReplicaProcess): boolean =>
  process.pid !== null && isRunning(process) && hasNonce(process.pid, process.nonce);

/** The process that carries the nonce: a spawn whose pid was never written down. */
export function findByNonce(nonce: string): number | null {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => hasNonce(Number(pid), nonce));
  return found === undefined ? null : Number(found);
}

const hasNonce = (pid: number, nonce: string): boolean =>
  (readProc(`/proc/${pid}/environ`) ?? '').split('\0').includes(`${NONCE_VARIABLE}=${nonce}`);

/** Ends everything that still carries the nonce: what a replica has started may have left its group. */
export function killByNonce(nonce: string): void {
  for (const name of readdirSync('/proc')) if (/^\d+$/.test(name) && hasNonce(Number(name), nonce)) kill(Number(name));
}

/** Gone is fine, and so is what became somebody else's. A negative pid is a group. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** 127.0.0.1 as `/proc/net/tcp` and, mapped, `/proc/net/tcp6` write it. */
const LOOPBACK = ['0100007F', '0000000000000000FFFF00000100007F'];
/** Every address: what nobody listens on more exactly. */
const ANY = ['00000000', '0'.repeat(32)];

/**
 * Users of the sockets that take a connection to 127.0.0.1 on the port (`/proc/net/tcp`, state 0A). The same port of another address
 * of this machine is nobody's business: whoever holds it must not keep others from starting.
 */
export function usersListeningOn(port: number): readonly number[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const rows = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => (readProc(path) ?? '').split('\n').slice(1));
  const listening = rows.map((row) => row.trim().split(/\s+/)).filter(([, , , state]) => state === '0A');
  const usersAt = (addresses: readonly string[]): number[] =>
    listening
      .filter(([, local]) => addresses.some((address) => local === `${address}:${hex}`))
      .map((columns) => Number(columns[7]));
  const exact = usersAt(LOOPBACK);
  return exact.length > 0 ? exact : usersAt(ANY);
}

/** Resident memory in MiB; 0 if it is gone. */
export function residentMib(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readProc(`/proc/${pid}/status`) ?? '');
  return Math.floor(Number(match?.[1] ?? 0) / 1024);
}

export const bootId = (): string => (readProc('/proc/sys/kernel/random/boot_id') ?? '').trim();

/** Signals the process's whole group; it leads one of its own. Gone is fine. */
export function signalGroup(process_: ReplicaProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (process_.pid === null || !isRunning(process_)) return;
  try {
    process.kill(-process_.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function readProc(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
