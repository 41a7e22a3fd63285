import type { Command } from 'commander';
import type { PurserClient } from '../typescript/purser-client.ts';
import type { Output } from './output.ts';

/** What a command line meets outside of itself. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
  /** From now on an interrupt ends only what listens to this: `events --follow`. */
  readonly stopped: () => AbortSignal;
}

/** What every command is handed. */
export interface Cli {
  readonly env: NodeJS.ProcessEnv;
  readonly output: Output;
  readonly stopped: () => AbortSignal;
  /** The API of the chosen context. */
  readonly client: () => PurserClient;
}

/** Adds the commands of one group to the program. */
export type CommandGroup = (program: Command, cli: () => Cli) => void;
