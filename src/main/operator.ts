import { DeploymentsClient } from '../../clients/operator/deployments-client.ts';
import { KarpenterClient } from '../../clients/operator/karpenter-client.ts';
import { KarpenterSync } from '../kubernetes/karpenter/karpenter-sync.ts';
import { Operator } from '../kubernetes/operator/operator.ts';
import { openCompanion } from './cluster-companion.ts';

/** `purser operator`: keeps `ModelDeployment` objects and what Karpenter is told of one cluster in step with the API, until SIGTERM or SIGINT. */
export async function operator(): Promise<void> {
  const { config, api, client, shared, run } = openCompanion('operator');
  const deployments = new DeploymentsClient(client);
  const instance = new Operator({ ...shared, api, deployments, clusterName: config.clusterName });
  const karpenter = new KarpenterSync({
    ...{ ...shared, api },
    pools: new KarpenterClient(client, config.clusterName),
  });
  const start = (): Promise<void> => {
    karpenter.start();
    return instance.start();
  };
  await run(start, () => Promise.all([karpenter.stop(), instance.stop()]));
  shared.logger.info({ cluster: config.clusterName, api: config.publicApiUrl }, 'the operator keeps ModelDeployments in step');
}
