// What the harness asks of the machine: commands, free ports, waiting.
import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { eventually } from '../../support/eventually.ts';

/** `kubectl get -o json` of many objects fits; a command that prints more is a mistake. */
const OUTPUT_BYTES = 256 * 1024 * 1024;

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string;
}

/** Runs a command to its end; gives its output, or throws with what it said. */
export function run(command: readonly string[], options: CommandOptions = {}): Promise<string> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { cwd: options.cwd, env: { ...process.env, ...options.env }, maxBuffer: OUTPUT_BYTES },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${command.slice(0, 12).join(' ')}: ${stderr.trim() || error.message}`));
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}

/** Like `run`, for what may be gone already. */
export async function tryRun(command: readonly string[], options: CommandOptions = {}): Promise<boolean> {
  return run(command, options).then(
    () => true,
    () => false,
  );
}

/** Below the range that connections take theirs from: a server that stops for a while finds its port free when it comes back. */
const PORTS = { first: 20_000, count: 10_000 };
const PORT_ATTEMPTS = 100;

/** Ports of the loopback that nobody listens on at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let attempt = 0; found.size < count; attempt++) {
    if (attempt > PORT_ATTEMPTS) throw new Error('no port is free on this machine');
    const port = PORTS.first + randomInt(PORTS.count);
    if (await isFree(port)) found.add(port);
  }
  return [...found];
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** Waits until `check` gives something other than false and undefined; its errors count as "not yet" and the last one is told in the end. */
export async function until<T>(
  what: string,
  deadlineMs: number,
  check: () => Promise<T> | T,
): Promise<Exclude<T, false | undefined>> {
  const hopeless: Hopeless[] = [];
  const attempt = async () => {
    try {
      return { value: await check() };
    } catch (error) {
      if (!(error instanceof Hopeless)) throw error;
      hopeless.push(error);
      return { value: undefined };
    }
  };
  const settled = ({ value }: { value: T | undefined }) => hopeless.length > 0 || (value !== false && value !== undefined);
  const outcome = await eventually(async () => {
    const latest = await attempt();
    return settled(latest) && latest;
  }, deadlineMs).catch((error: unknown) => {
    throw new Error(`${what} did not happen within ${deadlineMs / 1000} s: ${String(error)}`);
  });
  for (const error of hopeless) throw error;
  return outcome.value as Exclude<T, false | undefined>;
}

/** Ends an `until`: waiting longer would not help. */
export class Hopeless extends Error {}

export const isRoot = (): boolean => process.getuid?.() === 0;

const FOLDERS = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/go/bin'];

/** Where a program is, in the folders of PATH and those that a user's PATH often lacks. */
export function findProgram(name: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

export const log = (text: string): void => void process.stderr.write(`[cluster] ${text}\n`);
