import { Counter, Gauge, type MetricRegistry } from '../telemetry/metrics.ts';
import { REPLICA_STATES, type ReplicaState } from './cluster.port.ts';
import type { RolloutState } from './rollout.ts';

/** What the loops of clusters count. */
export interface DeploymentMetrics {
  passed(outcome: 'ok' | 'failed'): void;
  /** The cluster could not be seen in a pass. */
  unseen(): void;
  /** A pass ended a rollout. */
  rolledOut(outcome: RolloutState): void;
  /** Slots that are held on a cluster, as its leader last saw them; null = this process does not lead there. */
  saw(cluster: string, replicas: Readonly<Record<ReplicaState, number>> | null): void;
}

export function makeDeploymentMetrics(registry: MetricRegistry): DeploymentMetrics {
  const registers = [registry];
  const passes = new Counter({
    name: 'purser_deployment_passes_total',
    help: 'Passes over a cluster by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const unseen = new Counter({
    name: 'purser_cluster_unseen_total',
    help: 'Passes in which the cluster could not be seen.',
    registers,
  });
  const rollouts = new Counter({
    name: 'purser_rollouts_total',
    help: 'Rollouts that ended by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const replicas = new Gauge({
    name: 'purser_replicas',
    help: 'Replicas that hold a slot by state and cluster.',
    labelNames: ['state', 'cluster'],
    registers,
  });
  return {
    passed: (outcome) => passes.inc({ outcome }),
    unseen: () => unseen.inc(),
    rolledOut: (outcome) => rollouts.inc({ outcome }),
    saw: (cluster, counts) => {
      for (const state of REPLICA_STATES)
        if (counts) replicas.set({ state, cluster }, counts[state]);
        else replicas.remove({ state, cluster });
    },
  };
}
