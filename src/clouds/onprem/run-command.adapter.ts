import { spawn } from 'node:child_process';
import { z } from 'zod';
import { CloudUnknown } from '../cloud-provider.port.ts';

/** A command that takes longer is ended, and what it did is unknown. Higher: a hanging script holds up its pools; lower: slow clouds never answer. */
const TIMEOUT_MS = 120_000;
/** Its answer may be this long. Higher: memory; lower: pools of thousands of machines are cut off. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** What of its error output is told. */
const MAX_WORDS = 500;

/** A program of the operator's own, as it is written down. */
export const CommandSettings = z.strictObject({
  /** Program and first arguments; the verb is added. Run without a shell. */
  command: z.array(z.string().min(1)).min(1),
  timeoutMs: z.number().int().min(100).max(600_000).default(TIMEOUT_MS),
});

export type CommandSettings = z.infer<typeof CommandSettings>;

/** The program with what it may know of its surroundings: never what is this process's own, such as its database. */
export interface OwnProgram extends CommandSettings {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs it once, with the verb as last argument and one JSON object on its standard input; what it prints is the answer if it ends with status 0.
 * Anything else leaves the effect unknown.
 */
export function runCommand({ command, timeoutMs, env }: OwnProgram, verb: string, input: object): Promise<string> {
  const [program = '', ...first] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...first, verb], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env,
    });
    let isLate = false;
    // Its own children may hold its output open when it is gone: they are not waited for either.
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    const answer: Buffer[] = [];
    let bytes = 0;
    let words = '';
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) child.kill('SIGKILL');
      else answer.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => (words = `${words}${chunk.toString()}`.slice(-MAX_WORDS)));
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(new CloudUnknown(`${verb}: ${error.message}`, { cause: error }));
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (isLate && signal === null) reject(new CloudUnknown(`${verb}: no whole answer within ${timeoutMs} ms`));
      else if (code === 0) resolve(Buffer.concat(answer).toString());
      else reject(new CloudUnknown(`${verb}: the command ended with ${signal ?? `status ${code}`}. ${words.trim()}`.trim()));
    });
    // A command that ends without reading its input says so by its exit status.
    child.stdin.on('error', () => undefined);
    child.stdin.end(JSON.stringify(input));
  });
}
