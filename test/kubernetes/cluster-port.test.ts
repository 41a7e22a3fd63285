// The port's suite on a real cluster: the workloads are pods of the test container.
import { describe } from 'vitest';
import { clusterPortSuite } from '../support/cluster-port-suite.ts';
import { containerWorkload, openKubernetesCluster, pinnedTestImage } from '../support/kubernetes-cluster.ts';
import { theCluster } from './cluster/testing.ts';

const access = await theCluster();

describe.runIf(access.has('pods'))('Cluster adapter: on a cluster with nodes', () => {
  clusterPortSuite('kubernetes', async () => {
    const image = await pinnedTestImage();
    const opened = openKubernetesCluster(access);
    return {
      cluster: opened.cluster,
      workload: ({ runtime: _runtime, ...more } = {}) => containerWorkload(image, { drainTimeoutMs: 1_000, ...more }),
      secondPath: '/log?line=asked%20/second',
      patienceMs: 30_000,
      close: () => opened.close(),
    };
  });
});
