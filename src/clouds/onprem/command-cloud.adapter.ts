import { z } from 'zod';
import type { CheckFinding, CloudCheck } from '../cloud-check.port.ts';
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
import { runCommand, type OwnProgram } from './run-command.adapter.ts';

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

/** Machines by a program of the operator's own: it is run once per verb, and answers with JSON. */
export class CommandCloud implements MachineProvider, CloudCheck {
  readonly name: string;
  readonly #program: OwnProgram;

  constructor(name: string, program: OwnProgram) {
    this.name = name;
    this.#program = program;
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

  /** The program knows. */
  outOfReach(): null {
    return null;
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

  /** Asks it for notices, which changes nothing. */
  async check(): Promise<readonly CheckFinding[]> {
    try {
      await this.interruptions();
      return [{ aspect: 'permissions', status: 'ok', message: 'The command answers.' }];
    } catch (error) {
      if (!(error instanceof CloudUnknown)) throw error;
      return [{ aspect: 'permissions', status: 'failed', message: `Mend the command: ${error.message}` }];
    }
  }

  async #run<T>(verb: string, input: object, shape: z.ZodType<T>): Promise<T> {
    const output = await runCommand(this.#program, verb, input);
    try {
      return shape.parse(JSON.parse(output));
    } catch (error) {
      throw new CloudUnknown(`${verb}: the command answered something else than it should`, { cause: error });
    }
  }
}
