// Karpenter's own program with its kwok provider, which makes node objects without machines, told what machines cost by `purser operator` (a
// process) out of the price book of a whole Purser. What kwok offers has other prices, so that one sees whose prices count.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot as root } from '../../src/main/package-root.ts';
import { openCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';
import type { PolicyRule } from './cluster/access.ts';
import { ended, startCompanion } from './companion.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';
import { NEEDED, render } from './install/helm.ts';
import { canBuildKarpenter, karpenter, type RunningKarpenter } from './karpenter/karpenter.ts';

const NODE_POOLS = '/apis/karpenter.sh/v1/nodepools';
const OVERLAYS = '/apis/karpenter.sh/v1alpha1/nodeoverlays';
const CLAIMS = '/apis/karpenter.sh/v1/nodeclaims';
const PODS = '/api/v1/namespaces/default/pods';
const TYPE = 'node.kubernetes.io/instance-type';
const CAPACITY = 'karpenter.sh/capacity-type';

interface Requirement {
  readonly key: string;
  readonly values: readonly string[];
}

interface Overlay {
  readonly spec: { readonly requirements: readonly Requirement[]; readonly price: string };
}

interface Claim {
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
}

/** By the price book they cost 0.17 and 0.192. */
const KWOK_PRICES = { 'c5.xlarge': 0.9, 'm5.xlarge': 0.1 };

const offered = Object.entries(KWOK_PRICES).map(([name, price]) => ({
  ...{ name, architecture: 'amd64', operatingSystems: ['linux'] },
  resources: { cpu: '4', memory: '8Gi', pods: '110', 'ephemeral-storage': '20Gi' },
  offerings: [
    {
      ...{ Price: price, Available: true },
      Requirements: [
        { key: CAPACITY, operator: 'In', values: ['on-demand'] },
        { key: 'topology.kubernetes.io/zone', operator: 'In', values: ['us-east-1a'] },
      ],
    },
  ],
}));

let cluster: BareApiServer;
let purser: Installation;
let folder: string;
let operator: ChildProcess;
let operatorKubeconfig: string;
let running: RunningKarpenter;
let startKarpenter: () => Promise<RunningKarpenter>;

const cli = async (...args: readonly string[]): Promise<void> => {
  const shell = openCli({ PURSER_URL: purser.apiUrl, PURSER_TOKEN: purser.adminToken });
  const { code, stderr } = await shell.run(args);
  shell.close();
  expect(stderr).toBe('');
  expect(code).toBe(0);
};

/** The rights that the chart gives the operator, as those of a user here. */
async function withTheRightsOfTheChart(): Promise<string> {
  const on = { 'operator.enabled': true, 'operator.existingSecret': 'purser-operator', 'operator.karpenter.enabled': true };
  const role = (await render({ ...NEEDED, ...on }, ['--show-only', 'templates/rights.yaml']))
    .split(/^---$/m)
    .find((document) => /^kind: ClusterRole$/m.test(document) && document.includes('nodeoverlays'));
  const json = await cluster.kubectlWith(role ?? '', 'create', '--dry-run=client', '--validate=false', '-o', 'json', '-f', '-');
  const { rules } = JSON.parse(json) as { rules: PolicyRule[] };
  return cluster.user({ name: 'operator', clusterRules: rules });
}

const itemsOf = async <T>(path: string): Promise<readonly T[]> => (await cluster.api.get<{ items: T[] }>(path)).items;
const valuesOf = ({ spec }: Overlay, key: string): string =>
  spec.requirements.find((requirement) => requirement.key === key)?.values.join() ?? '';

/** What Karpenter is told, as `instance type@capacity type=price`. */
const toldPrices = async (): Promise<string[]> =>
  (await itemsOf<Overlay>(OVERLAYS)).map((one) => `${valuesOf(one, TYPE)}@${valuesOf(one, CAPACITY)}=${one.spec.price}`).sort();

const startOperator = (): ChildProcess => startCompanion('operator', purser, { kubeconfig: operatorKubeconfig });

/** The operator reads every half minute; a restart reads at once. */
async function readAgain(): Promise<void> {
  operator.kill('SIGTERM');
  await ended(operator);
  operator = startOperator();
}

/** Until Karpenter is told this price and has taken it in. */
async function until(price: string): Promise<void> {
  await eventually(async () => (await toldPrices()).includes(price), 60_000);
  await cluster.kubectl('wait', '--for=condition=Ready', 'nodeoverlays', '--all', '--timeout=30s');
}

/** What Karpenter makes for a pod of three CPUs of the pool, once kwok has said which type it is. */
async function machineFor(pod: string): Promise<Claim['metadata']> {
  const before = new Set((await itemsOf<Claim>(CLAIMS)).map(({ metadata }) => metadata.name));
  await cluster.api.create(PODS, podOf(pod));
  return eventually(async () => {
    const claim = (await itemsOf<Claim>(CLAIMS)).find(({ metadata }) => !before.has(metadata.name));
    return claim?.metadata.labels[TYPE] !== undefined && claim.metadata;
  }, 60_000);
}

/** Somebody has negotiated: what is charged is not what is published. */
async function setPrice(instanceType: string, pricePerHour: string): Promise<void> {
  const query = `mutation ($input: SetPriceOverrideInput!) { setPriceOverride(input: $input) { userErrors { message } } }`;
  const offering = { provider: 'aws', region: 'us-east-1', instanceType };
  const answer = await fetch(`${purser.apiUrl}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${purser.adminToken}` },
    body: JSON.stringify({ query, variables: { input: { offering, pricePerHour } } }),
  });
  expect(await answer.json()).toMatchObject({ data: { setPriceOverride: { userErrors: [] } } });
}

const podOf = (name: string) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
  spec: {
    nodeSelector: { tier: 'burst' },
    containers: [{ name: 'main', image: 'none', resources: { requests: { cpu: '3', memory: '64Mi' } } }],
  },
});

const setPool = (max: number, ...settings: readonly string[]): Promise<void> =>
  cli(
    ...['clusters', 'scale-pool', 'east', 'burst', '--provider', 'karpenter', '--max', String(max)],
    ...['--setting', 'region=aws/us-east-1', 'nodeClass=karpenter.kwok.sh/KWOKNodeClass/default', ...settings],
  );

describe.runIf(canBuildKarpenter())("In other clusters' schedulers: Karpenter rents by our prices", () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'purser-karpenter-'));
    const file = join(folder, 'instance-types.json');
    writeFileSync(file, JSON.stringify(offered));
    const theirs = await karpenter();
    [cluster, purser] = await Promise.all([startBareApiServer({ controllers: true }), startInstallation()]);
    const own = join(root, 'deploy', 'helm', 'purser', 'crds', 'modeldeployments.purser.dev.yaml');
    for (const definition of [...theirs.definitions, own]) await cluster.kubectl('apply', '--server-side', '-f', definition);
    await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=20s');
    const nodeClass = { apiVersion: 'karpenter.kwok.sh/v1alpha1', kind: 'KWOKNodeClass', metadata: { name: 'default' } };
    await cluster.api.create('/apis/karpenter.kwok.sh/v1alpha1/kwoknodeclasses', nodeClass);
    await cli('clusters', 'register', 'east', '--kubeconfig', cluster.kubeconfig, '--pool', 'burst:on_demand:tier=burst');
    await setPool(2, 'instanceTypes=c5.xlarge,m5.xlarge');
    startKarpenter = () => theirs.start({ kubeconfig: cluster.kubeconfig, folder, instanceTypes: file });
    running = await startKarpenter();
    operatorKubeconfig = await withTheRightsOfTheChart();
    operator = startOperator();
  }, 300_000);
  afterAll(async () => {
    operator.kill('SIGKILL');
    await Promise.all([ended(operator), running.program.end(0)]);
    await Promise.all([cluster.stop(), purser.remove()]);
    rmSync(folder, { recursive: true, force: true });
  });

  test('a pool is a NodePool, and every known price of its instance types is a NodeOverlay', async () => {
    const [pool] = await eventually(async () => {
      const pools = await itemsOf<{ metadata: { name: string }; spec: { limits: object; template: object } }>(NODE_POOLS);
      return pools.length > 0 && pools;
    }, 60_000);
    expect(pool).toMatchObject({
      metadata: { name: 'purser-burst' },
      spec: { limits: { nodes: '2' }, template: { metadata: { labels: { tier: 'burst', 'purser.dev/pool': 'burst' } } } },
    });
    const told = (await toldPrices()).filter((one) => one.includes('@on-demand='));
    expect(told).toEqual(['c5.xlarge@on-demand=0.17', 'm5.xlarge@on-demand=0.192']);
  });

  test('what it rents it counts at our price, and at another one after a price has changed', async () => {
    await until('m5.xlarge@on-demand=0.192');
    const { labels, annotations } = await machineFor('first');
    // kwok itself takes what is cheapest to it, whatever it is told.
    expect(labels[TYPE]).toBe('m5.xlarge');
    expect(annotations['karpenter.sh/price-overlay-applied']).toBe('true');
    await eventually(async () => (await running.costOf('purser-burst')) === 0.192, 60_000);
    await setPrice('m5.xlarge', '0.05');
    await readAgain();
    await until('m5.xlarge@on-demand=0.05');
    // What it has rented before it counts anew once an hour, and when it starts.
    await running.program.end(0);
    running = await startKarpenter();
    await eventually(async () => (await running.costOf('purser-burst')) === 0.05, 60_000);
  });

  test('what cannot be read of a pool leaves its NodePool and its prices as they were; what is mended is told', async () => {
    const before = await toldPrices();
    await setPool(1, 'instanceTypes=');
    await readAgain();
    await setPool(3, 'instanceTypes=c5.xlarge');
    expect(await toldPrices()).toEqual(before);
    await readAgain();
    await eventually(async () => {
      const [pool] = await itemsOf<{ spec: { limits: { nodes: string } } }>(NODE_POOLS);
      return pool?.spec.limits.nodes === '3';
    }, 60_000);
    expect((await toldPrices()).every((one) => one.startsWith('c5.xlarge@'))).toBe(true);
  });

  test('a pool that was taken out is taken from Karpenter; what is of others stays', async () => {
    const [ours] = await itemsOf<{ spec: object }>(NODE_POOLS);
    const theirs = { apiVersion: 'karpenter.sh/v1', kind: 'NodePool', metadata: { name: 'purser-theirs' }, spec: ours?.spec };
    await cluster.api.create(NODE_POOLS, theirs);
    await cluster.kubectl('delete', 'pods', '--all', '--wait=false');
    await cli('clusters', 'update', 'east', '--pool', 'other', '--remove-pool', 'burst');
    await readAgain();
    await eventually(async () => (await itemsOf<object>(NODE_POOLS)).length === 1, 60_000);
    expect(await itemsOf<object>(NODE_POOLS)).toMatchObject([{ metadata: { name: 'purser-theirs' } }]);
    expect(await toldPrices()).toEqual([]);
  });
});
