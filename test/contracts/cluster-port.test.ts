// The port's suite on the clusters that need nothing but this machine; workloads are small commands.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { clusterPortSuite, MOST_REPLICAS, type ClusterPortSubject } from '../support/cluster-port-suite.ts';
import { answering, processRuntime, startTestRuntime, workload } from '../support/local-runtime.ts';
import { SimulatedCluster } from '../support/simulated-cluster.ts';

const clusters: readonly [string, () => Promise<ClusterPortSubject>][] = [
  [
    'local',
    async () => {
      const runtime = await startTestRuntime();
      return {
        cluster: runtime.cluster,
        workload: (more) => workload(processRuntime(answering), more),
        close: () => runtime.close(),
      };
    },
  ],
  [
    'the simulated one that other tests rely on',
    async () => {
      const servers = await Promise.all(Array.from({ length: MOST_REPLICAS }, () => listening()));
      const free = [...servers];
      const cluster = new SimulatedCluster({ now: () => Date.now() }, (replicaId) => {
        const server = free.pop();
        if (!server) throw new Error('more replicas than MOST_REPLICAS');
        server.on('request', ({ url }: IncomingMessage) => cluster.write(replicaId, `asked ${url ?? ''}`));
        return `127.0.0.1:${(server.address() as AddressInfo).port}`;
      });
      return {
        cluster,
        workload: (more) => workload(processRuntime(answering), more),
        close: () => {
          for (const server of servers) server.close();
          return Promise.resolve();
        },
      };
    },
  ],
];

const listening = (): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer((_, response) => response.end('ok'));
    server.listen(0, '127.0.0.1', () => resolve(server));
  });

for (const [name, open] of clusters) clusterPortSuite(name, open);
