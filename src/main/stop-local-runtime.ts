import { stopRuntime } from '../local/spawn-runtime.ts';
import type { Config } from './config.ts';

/** Ends this machine's runtime with its replicas drained; nothing if none runs. */
export const stopLocalRuntime = (config: Config): Promise<void> => stopRuntime(config.dataDir);
