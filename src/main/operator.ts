import { DeploymentsClient } from '../../clients/operator/deployments-client.ts';
import { Operator } from '../kubernetes/operator/operator.ts';
import { openCompanion } from './cluster-companion.ts';

/** `purser operator`: keeps the `ModelDeployment` objects of one cluster in step with the API, until SIGTERM or SIGINT. */
export async function operator(): Promise<void> {
  const { config, api, client, shared, endBy } = openCompanion('operator');
  const deployments = new DeploymentsClient(client);
  const instance = new Operator({ ...shared, api, deployments, clusterName: config.clusterName });
  endBy(() => instance.stop());
  await instance.start();
  shared.logger.info({ cluster: config.clusterName, api: config.publicApiUrl }, 'the operator keeps ModelDeployments in step');
}
