import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeploymentsClient } from '../../clients/operator/deployments-client.ts';
import { PurserClient } from '../../clients/typescript/purser-client.ts';
import { Credentials } from '../kubernetes/api/credentials.ts';
import { KubernetesApi } from '../kubernetes/api/kubernetes-api.ts';
import { Operator } from '../kubernetes/operator/operator.ts';
import { makeLogger } from '../telemetry/logger.ts';
import { ConfigError, readConfig } from './config.ts';
import { systemClock, systemRandom } from './system-clock.ts';

/** `purser operator`: keeps the `ModelDeployment` objects of one cluster in step with the API, until SIGTERM or SIGINT. */
export async function operator(): Promise<void> {
  const config = readConfig(process.env, process.cwd());
  const logger = makeLogger('operator', config.logLevel);
  const shared = { clock: systemClock, random: systemRandom, logger };
  const file = config.kubeconfigFile;
  const access = file === null ? ({ kind: 'in_cluster' } as const) : ({ kind: 'kubeconfig_file', file, context: null } as const);
  const api = new KubernetesApi({ ...shared, credentials: new Credentials(access, systemClock) });
  const token = tokenIn(config.tokenFile ?? join(config.dataDir, 'admin-token'));
  const deployments = new DeploymentsClient(new PurserClient({ url: config.publicApiUrl, token }));
  const instance = new Operator({ ...shared, api, deployments, clusterName: config.clusterName });
  const stop = (): void => {
    void instance
      .stop()
      .then(() => api.close())
      .then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  await instance.start();
  logger.info({ cluster: config.clusterName, api: config.publicApiUrl }, 'the operator keeps ModelDeployments in step');
}

function tokenIn(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new ConfigError(`PURSER_TOKEN_FILE must name a file with a token: ${(error as Error).message}.`);
  }
}
