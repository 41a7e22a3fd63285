// What the tests of `test/kubernetes` share: one cluster for all files, reached through vitest's global set-up.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inject } from 'vitest';
import { ClusterAccess } from './access.ts';
import { ApiClient } from './api.ts';
import { startCluster, type OwnedCluster } from './cluster.ts';
import { controlAt, type ClusterControl } from './control.ts';
import type { NodeShape } from './node-settings.ts';
import { TEST_IMAGE } from './images.ts';

/**
 * What a cluster can do for a test. "replicas": pods of the test image become Ready, if only by pretence; "pods": they really run, and this machine reaches their addresses; "nodes": they can be added, killed and
 * cut off, and images can be brought; "audit": what was asked can be read.
 */
export type Ability = 'replicas' | 'pods' | 'nodes' | 'audit';

export const ALL_ABILITIES: readonly Ability[] = ['replicas', 'pods', 'nodes', 'audit'];

export interface SharedCluster {
  readonly kubeconfig: string;
  readonly abilities: readonly Ability[];
}

declare module 'vitest' {
  export interface ProvidedContext {
    kubernetes: SharedCluster;
  }
}

export class TestCluster extends ClusterAccess {
  readonly #abilities: readonly Ability[];

  constructor(shared: SharedCluster, api: ApiClient) {
    super(shared.kubeconfig, api);
    this.#abilities = shared.abilities;
  }

  /** For `describe.runIf(cluster.has('pods'))`: what is skipped shows in the run's last lines. */
  has(ability: Ability): boolean {
    return this.#abilities.includes(ability);
  }

  /** The image of container/main.go, under the name that this cluster can pull it by. */
  get image(): string {
    return process.env['PURSER_TEST_IMAGE'] ?? TEST_IMAGE;
  }

  /** Nodes by hand, where the cluster has the ability "nodes". */
  get control(): ClusterControl {
    return controlAt(controlPath(this.kubeconfig));
  }
}

/** The run's cluster. Each file works in namespaces and on nodes of its own, because the others go on using it. */
export async function theCluster(): Promise<TestCluster> {
  const shared = inject('kubernetes');
  return new TestCluster(shared, await ApiClient.of(shared.kubeconfig));
}

/** A cluster more with real nodes, beside the run's own; only where that one has the ability "nodes". */
export class AnotherCluster extends TestCluster {
  readonly #owned: OwnedCluster;

  private constructor(owned: OwnedCluster, api: ApiClient) {
    super({ kubeconfig: owned.kubeconfig, abilities: ALL_ABILITIES }, api);
    this.#owned = owned;
  }

  /** Up in five seconds, with a gigabyte of memory. Lives until `stop()` or the end of the test file's process. */
  static async start(nodes: number | readonly NodeShape[]): Promise<AnotherCluster> {
    const owned = await startCluster({ nodes });
    return new AnotherCluster(owned, await ApiClient.of(owned.kubeconfig));
  }

  async stop(): Promise<void> {
    await this.api.close();
    await this.#owned.stop();
  }
}

const controlPath = (kubeconfig: string) => join(dirname(kubeconfig), 'control.sock');

/** Of a cluster that was not started by this run. */
export function abilitiesOf(kubeconfig: string): Ability[] {
  const ours = existsSync(controlPath(kubeconfig));
  const podsRun = ours || process.env['PURSER_TEST_IMAGE'] !== undefined;
  return [...(podsRun ? (['replicas', 'pods'] as const) : []), ...(ours ? (['nodes', 'audit'] as const) : [])];
}
