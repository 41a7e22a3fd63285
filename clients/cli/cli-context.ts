import type { PurserClient } from '../typescript/purser-client.ts';
import type { Output } from './output.ts';

/** What every command is handed. */
export interface Cli {
  readonly env: NodeJS.ProcessEnv;
  readonly output: Output;
  /** The API of the chosen context. */
  client(): PurserClient;
}
