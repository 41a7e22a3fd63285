import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PurserClient } from '../../clients/typescript/purser-client.ts';
import { Credentials } from '../kubernetes/api/credentials.ts';
import { KubernetesApi } from '../kubernetes/api/kubernetes-api.ts';
import { makeLogger, type Logger } from '../telemetry/logger.ts';
import { ConfigError, readConfig, type Config } from './config.ts';
import { systemClock, systemRandom } from './system-clock.ts';

/** A process beside a cluster that is an ordinary client of the API. */
export interface Companion {
  readonly config: Config;
  readonly api: KubernetesApi;
  readonly client: PurserClient;
  readonly shared: { readonly clock: typeof systemClock; readonly random: typeof systemRandom; readonly logger: Logger };
  /** Resolves when it has started. SIGTERM and SIGINT end it, also before that: `stop` first, then the process. */
  readonly run: (start: () => Promise<unknown>, stop: () => Promise<unknown>) => Promise<void>;
}

/** Reads the configuration and signs in on both sides; `name` is what it is called in logs. */
export function openCompanion(name: string): Companion {
  const config = readConfig(process.env, process.cwd());
  const shared = { clock: systemClock, random: systemRandom, logger: makeLogger(name, config.logLevel) };
  const file = config.kubeconfigFile;
  const access = file === null ? ({ kind: 'in_cluster' } as const) : ({ kind: 'kubeconfig_file', file, context: null } as const);
  const api = new KubernetesApi({ ...shared, credentials: new Credentials(access, systemClock) });
  const token = tokenIn(config.tokenFile ?? join(config.dataDir, 'admin-token'));
  const client = new PurserClient({ url: config.publicApiUrl, token });
  const run = async (start: () => Promise<unknown>, stop: () => Promise<unknown>): Promise<void> => {
    let isStopping = false;
    const end = (): void => {
      isStopping = true;
      void stop()
        .then(() => api.close())
        .then(() => process.exit(0));
    };
    process.once('SIGTERM', end);
    process.once('SIGINT', end);
    await start().catch((error: unknown) => {
      if (!isStopping) throw error;
    });
  };
  return { config, api, client, shared, run };
}

function tokenIn(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(`PURSER_TOKEN_FILE must name a file with a token: ${(error as Error).message}.`);
  }
}
