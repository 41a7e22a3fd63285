// A whole installation with the example deployment, left alone: memory and CPU from /proc over a window of quiet.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { packageRoot } from '../../src/main/package-root.ts';
import { startInstallation } from '../support/installation.ts';
import type { BenchRow } from './bench-row.ts';

const WINDOW_MS = 20_000;
/** What a start leaves behind (prices being read, the example being asked) is over by then. */
const SETTLE_MS = 10_000;
/** Odd, for a median. */
const RUNS = 9;
/** The kernel's clock ticks per second (`getconf CLK_TCK`), the unit of /proc/<pid>/stat. */
const TICKS_PER_SECOND = 100;

export async function run(): Promise<readonly BenchRow[]> {
  const purser = await startInstallation();
  try {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
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
      ...(await commandLineRows(purser.env)),
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

/** From the spawn of `node_modules/.bin/purser` to the first byte that it prints. */
async function commandLineRows(env: NodeJS.ProcessEnv): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const command of ['--version', 'help', 'get']) {
    const times: number[] = [];
    for (let n = 0; n < RUNS; n += 1) times.push(await firstOutputMs(command, env));
    const value = Math.round(times.sort((a, b) => a - b)[Math.floor(RUNS / 2)] ?? 0);
    rows.push({ name: `purser ${command}, first output (median of ${RUNS})`, value, unit: 'ms', goal: '< 300' });
  }
  return rows;
}

function firstOutputMs(command: string, env: NodeJS.ProcessEnv): Promise<number> {
  const started = performance.now();
  const child = spawn(join(packageRoot, 'node_modules', '.bin', 'purser'), [command], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    let first: number | null = null;
    child.stdout.once('data', () => (first = performance.now() - started));
    child.once('close', (code) => {
      if (first === null || code !== 0) reject(new Error(`purser ${command} ended with ${String(code)}`));
      else resolve(first);
    });
  });
}
