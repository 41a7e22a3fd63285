// What the harness asks of the machine: commands, free ports, waiting.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
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

/** Ports of the loopback that nobody listens on at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer().once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

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
