// Vitest's global set-up: one cluster for all files, started here, or the one that KUBECONFIG names.
import type { TestProject } from 'vitest/node';
import { startCluster } from './cluster.ts';
import { log } from './machine.ts';
import { ALL_ABILITIES, abilitiesOf, type Ability, type SharedCluster } from './testing.ts';

const NODES = 2;
const LACKS: Readonly<Record<Ability, string>> = {
  replicas: 'tests whose replicas become Ready',
  pods: 'tests whose pods must really run',
  nodes: 'tests that add, kill or cut off nodes',
  audit: 'tests that read the audit log',
};

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['KUBECONFIG'];
  if (given !== undefined && given !== '') {
    log(`the tests use the cluster of ${given}`);
    share(project, { kubeconfig: given, abilities: abilitiesOf(given) });
    return () => Promise.resolve();
  }
  const cluster = await startCluster({ nodes: NODES, fakeNodes: process.env['PURSER_TEST_NODES'] === 'pretended' });
  share(project, { kubeconfig: cluster.kubeconfig, abilities: cluster.realNodes ? ALL_ABILITIES : ['replicas', 'audit'] });
  return () => cluster.stop();
}

function share(project: TestProject, shared: SharedCluster): void {
  for (const [ability, tests] of Object.entries(LACKS)) {
    if (!shared.abilities.some((has) => has === ability)) log(`skipped here: ${tests}`);
  }
  project.provide('kubernetes', shared);
}
