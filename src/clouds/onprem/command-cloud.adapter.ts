import { spawn } from 'node:child_process';
import { z } from 'zod';
import {
  CLOUD_REFUSALS,
  CloudUnknown,
  type CloudFence,
  type CloudInterruption,
  type CloudPool,
  type CloudPoolState,
  type MachineProvider,
  type CloudResult,
} from '../cloud-provider.port.ts';

/** A command that takes longer is ended, and what it did is unknown. Higher: a hanging script holds up its pools; lower: slow clouds never answer. */
const TIMEOUT_MS = 120_000;
/** Its answer may be this long. Higher: memory; lower: pools of thousands of machines are cut off. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** What of its error output is told. */
const MAX_WORDS = 500;

/** As the operator writes them. */
export const CommandSettings = z.strictObject({
  /** Program and first arguments; the verb is added. */
  command: z.array(z.string().min(1)).min(1),
  timeoutMs: z.number().int().min(1_000).max(600_000).optional(),
});

export interface CommandCloudOptions {
  readonly name: string;
  /** Program and first arguments, as the operator configured them; the verb is added. Run without a shell. */
  readonly command: readonly string[];
  readonly timeoutMs?: number | undefined;
}

const Result = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('accepted') }),
  z.object({ outcome: z.literal('stale_epoch') }),
  z.object({
    outcome: z.literal('refused'),
    reason: z.enum(CLOUD_REFUSALS),
    message: z.string().max(1_000),
    retryAfterMs: z.number().int().min(0).nullable(),
  }),
]);

const Instant = z.number().int().min(0);

const State = z
  .object({
    desired: z.number().int().min(0),
    nodes: z.array(
      z.object({
        instanceId: z.string().min(1),
        nodeName: z.string().nullable(),
        phase: z.enum(['starting', 'running', 'stopping', 'gone']),
        since: Instant,
      }),
    ),
  })
  .nullable();

const Interruptions = z.array(
  z.object({
    instanceId: z.string().min(1),
    nodeName: z.string().nullable(),
    noticedAt: Instant,
    goneAt: Instant.nullable(),
    message: z.string().max(1_000),
  }),
);

/**
 * Machines by a program of the operator's own: it is run once per verb with the verb as last argument and one JSON object on its standard
 * input, and answers with JSON on its standard output and exit status 0. Anything else leaves the effect unknown.
 */
export class CommandCloud implements MachineProvider {
  readonly name: string;
  readonly #options: CommandCloudOptions;

  constructor(options: CommandCloudOptions) {
    this.name = options.name;
    this.#options = options;
  }

  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return this.#run('ensurePool', { pool, ...fence }, Result);
  }

  scalePool(
    key: string,
    wish: { readonly desired: number; readonly release: readonly string[] },
    fence: CloudFence,
  ): Promise<CloudResult> {
    return this.#run('scalePool', { key, ...wish, ...fence }, Result);
  }

  deletePool(key: string, fence: CloudFence): Promise<CloudResult> {
    return this.#run('deletePool', { key, ...fence }, Result);
  }

  observeNodes(key: string): Promise<CloudPoolState | null> {
    return this.#run('observeNodes', { key }, State);
  }

  interruptions(): Promise<readonly CloudInterruption[]> {
    return this.#run('interruptions', {}, Interruptions);
  }

  async #run<T>(verb: string, input: object, shape: z.ZodType<T>): Promise<T> {
    const output = await this.#output(verb, JSON.stringify(input));
    try {
      return shape.parse(JSON.parse(output));
    } catch (error) {
      throw new CloudUnknown(`${verb}: the command answered something else than it should`, { cause: error });
    }
  }

  #output(verb: string, input: string): Promise<string> {
    const [program = '', ...first] = this.#options.command;
    return new Promise((resolve, reject) => {
      const child = spawn(program, [...first, verb], {
        stdio: ['pipe', 'pipe', 'pipe'],
        timeout: this.#options.timeoutMs ?? TIMEOUT_MS,
        killSignal: 'SIGKILL',
      });
      const answer: Buffer[] = [];
      let bytes = 0;
      let words = '';
      child.stdout.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES) child.kill('SIGKILL');
        else answer.push(chunk);
      });
      child.stderr.on('data', (chunk: Buffer) => (words = `${words}${chunk.toString()}`.slice(-MAX_WORDS)));
      child.once('error', (error) => reject(new CloudUnknown(`${verb}: ${error.message}`, { cause: error })));
      child.once('close', (code, signal) => {
        if (code === 0) resolve(Buffer.concat(answer).toString());
        else reject(new CloudUnknown(`${verb}: the command ended with ${signal ?? `status ${code}`}. ${words.trim()}`.trim()));
      });
      // A command that ends without reading its input says so by its exit status.
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
    });
  }
}
