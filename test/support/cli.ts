import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from '../../clients/cli/cli.ts';
import type { ExitCode } from '../../clients/cli/exit-codes.ts';

/** What one command line did. */
export interface Ran {
  readonly code: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line in process, with an environment and a folder for contexts of its own. */
export interface TestCli {
  readonly folder: string;
  readonly contextFile: string;
  run(
    args: readonly string[],
    options?: { readonly stopped?: AbortSignal; readonly onOutput?: (text: string) => void },
  ): Promise<Ran>;
  /** Runs with `--json` and parses what it printed. */
  json<T>(...args: string[]): Promise<T>;
  close(): void;
}

export function openCli(env: NodeJS.ProcessEnv = {}): TestCli {
  const folder = mkdtempSync(join(tmpdir(), 'purser-cli-'));
  const contextFile = join(folder, 'config', 'contexts.json');
  const whole = { PURSER_CONFIG: contextFile, PURSER_DATA_DIR: join(folder, 'none'), ...env };
  const run: TestCli['run'] = async (args, { stopped = new AbortController().signal, onOutput } = {}) => {
    const printed = { stdout: '', stderr: '' };
    const code = await runCli(args, {
      env: whole,
      write: (text) => {
        printed.stdout += text;
        onOutput?.(text);
      },
      writeError: (text) => void (printed.stderr += text),
      stopped: () => stopped,
    });
    return { code, ...printed };
  };
  return {
    folder,
    contextFile,
    run,
    json: async <T>(...args: string[]) => {
      const { code, stdout, stderr } = await run([...args, '--json']);
      if (code !== 0) throw new Error(`purser ${args.join(' ')} ended with ${code}: ${stderr}`);
      return JSON.parse(stdout) as T;
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
