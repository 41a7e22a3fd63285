import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** A process: its pid and when it started, because pids are used again. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot on Linux, else empty: there only the pid is compared. */
  readonly startedAt: string;
  /** The boot it belongs to; after a reboot no process is the same. */
  readonly bootId: string;
}

/** Field 22 of `/proc/<pid>/stat` (proc(5)), counted from after the name in parentheses, which may hold anything. */
const START_TIME_FIELD = 22 - 3;

export async function identityOf(pid: number): Promise<ProcessIdentity> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return { pid, startedAt: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_TIME_FIELD] ?? '', bootId: bootId.trim() };
}

/** True if that very process still runs. */
export async function isSameProcess(identity: ProcessIdentity): Promise<boolean> {
  if (!isAlive(identity.pid)) return false;
  const now = await identityOf(identity.pid);
  return now.startedAt === identity.startedAt && now.bootId === identity.bootId;
}

/** True if some process with this pid runs. A zombie has ended, even where nobody collects it, as the first process of many containers. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
}
