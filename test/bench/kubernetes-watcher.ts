// A process that does nothing but watch a cluster for an installation, as a control plane does. Asked over IPC: `look` answers what it
// sees and weighs.
import { readFileSync } from 'node:fs';
import { ClusterUnreachable, type ClusterObservation } from '../../src/deployments/cluster.port.ts';
import { InventoryUnreachable } from '../../src/fleet/cluster-inventory.port.ts';
import { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import { KubernetesInventory } from '../../src/kubernetes/nodes/inventory.adapter.ts';
import { KubernetesCluster } from '../../src/kubernetes/kubernetes-cluster.adapter.ts';
import { clock, random } from '../support/kubernetes-world.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import { settingsOf } from './kubernetes-objects.ts';

export interface Look {
  readonly workloads: number;
  readonly replicas: number;
  /** From the start of the caches to the first whole observation; then of one observation. */
  readonly tookMs: number;
  readonly rssMib: number;
  readonly peakRssMib: number;
  readonly cpuMs: number;
}

const [kubeconfig = '', installation = ''] = process.argv.slice(2);
const api = KubernetesApi.of({ kind: 'kubeconfig_file', file: kubeconfig, context: null }, { clock, random });
const deps = { api, clock, random, logger: quietLogger };
const cluster = new KubernetesCluster({ ...deps, ...settingsOf(installation) });
const inventory = new KubernetesInventory({ ...deps, installation });

process.on('message', () => {
  void look(performance.now()).then((seen) => process.send?.(seen));
});
const began = performance.now();
cluster.start();
inventory.start();
process.send?.(await look(began));

async function look(since: number): Promise<Look> {
  const { workloads, replicas } = await observed();
  const status = readFileSync('/proc/self/status', 'utf8');
  const { user, system } = process.cpuUsage();
  return {
    workloads: workloads.length,
    replicas: replicas.length,
    tookMs: performance.now() - since,
    rssMib: mebibytes(status, 'VmRSS'),
    peakRssMib: mebibytes(status, 'VmHWM'),
    cpuMs: (user + system) / 1000,
  };
}

/** A busy machine may take longer than an observation waits: the loop would come again, too. */
async function observed(): Promise<ClusterObservation> {
  for (;;) {
    try {
      const [observation] = await Promise.all([cluster.observe(), inventory.observeNodes()]);
      return observation;
    } catch (error) {
      if (!(error instanceof ClusterUnreachable) && !(error instanceof InventoryUnreachable)) throw error;
    }
  }
}

function mebibytes(status: string, field: string): number {
  return Math.round(Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024);
}
