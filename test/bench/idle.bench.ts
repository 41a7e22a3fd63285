// A whole installation with the example deployment, left alone: memory and CPU from /proc over a window of quiet.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { packageRoot } from '../../src/main/package-root.ts';
import { startInstallation } from '../support/installation.ts';
import type { BenchRow } from './bench-row.ts';

const WINDOW_MS = 20_000;
/** The kernel's clock ticks per second (`getconf CLK_TCK`), the unit of /proc/<pid>/stat. */
const TICKS_PER_SECOND = 100;

export async function run(): Promise<readonly BenchRow[]> {
  const purser = await startInstallation();
  try {
    const serve = await watch(purser.pidOf('serve'));
    const router = await watch(purser.pidOf('router'));
    return [
      {
        name: 'start with an existing build, first time',
        value: (purser.startedInMs / 1000).toFixed(1),
        unit: 's',
        goal: '≤ 90',
      },
      { name: 'control plane idle, RSS', value: serve.rssMib, unit: 'MiB', goal: '≤ 250' },
      { name: 'control plane idle, CPU', value: serve.cpuPercent.toFixed(2), unit: '% of a core', goal: '≤ 1' },
      { name: 'router idle, RSS', value: router.rssMib, unit: 'MiB', goal: '≤ 90' },
      { name: 'router idle, CPU', value: router.cpuPercent.toFixed(2), unit: '% of a core' },
      { name: 'command line, first output (median of 9)', value: commandLineMs(), unit: 'ms', goal: '< 300' },
    ];
  } finally {
    await purser.remove();
  }
}

async function watch(pid: number): Promise<{ rssMib: number; cpuPercent: number }> {
  const before = ticksOf(pid);
  await new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
  const used = (ticksOf(pid) - before) / TICKS_PER_SECOND;
  const rss = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return { rssMib: Math.round(Number(rss) / 1024), cpuPercent: (used / (WINDOW_MS / 1000)) * 100 };
}

/** User and system time of a process, in clock ticks (proc(5), fields 14 and 15). */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function commandLineMs(): number {
  const times = Array.from({ length: 9 }, () => {
    const started = performance.now();
    spawnSync(join(packageRoot, 'node_modules', '.bin', 'purser'), ['help'], { stdio: 'ignore' });
    return performance.now() - started;
  });
  return Math.round(times.sort((a, b) => a - b)[4] ?? 0);
}
