// GitOps users: the custom resource on an API server of its own, the operator as a process, and a whole Purser on this machine behind it.
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot as root } from '../../src/main/package-root.ts';
import { openCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';
import { ask, DIGITS } from '../support/live-system.ts';
import { ended, startCompanion } from './companion.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';

const DEFINITION = join(root, 'deploy', 'helm', 'purser', 'crds', 'modeldeployments.purser.dev.yaml');
const OBJECTS = '/apis/purser.dev/v1alpha1/namespaces/shop/modeldeployments';

interface Shown {
  readonly metadata: { readonly generation: number; readonly resourceVersion: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: string;
    readonly url?: string;
    readonly conditions: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }[];
  };
}

let cluster: BareApiServer;
let purser: Installation;
let operator: ChildProcess;
let folder: string;

function startOperator(): ChildProcess {
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, readFileSync(cluster.kubeconfig), { mode: 0o600 });
  return startCompanion('operator', purser, { kubeconfig });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'purser-operator-'));
  [cluster, purser] = await Promise.all([startBareApiServer(), startInstallation()]);
  await cluster.namespace('shop', { 'purser.dev/team': 'example' });
  await cluster.namespace('elsewhere');
  // Before its definition is there: it waits for it.
  operator = startOperator();
  await cluster.kubectl('apply', '--server-side', '-f', DEFINITION);
  await eventually(() =>
    cluster.api.list(OBJECTS).then(
      () => true,
      () => false,
    ),
  );
});
afterAll(async () => {
  operator.kill('SIGTERM');
  await ended(operator);
  await Promise.all([cluster.stop(), purser.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

const make = (name: string, spec: object, namespace = 'shop') =>
  cluster.api.create(OBJECTS.replace('shop', namespace), {
    apiVersion: 'purser.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name, namespace },
    spec: { project: 'example/demo', model: 'digits', ...spec },
  });
const change = (name: string, spec: object) => cluster.api.patch(`${OBJECTS}/${name}`, { spec });
const show = (name: string, namespace = 'shop') => cluster.api.get<Shown>(`${OBJECTS.replace('shop', namespace)}/${name}`);
const told = ({ status }: Shown): string[] => (status?.conditions ?? []).map((one) => `${one.type}=${one.status} ${one.reason}`);
/** Waits until the object's conditions are about its newest spec and these. */
const until = (name: string, conditions: readonly string[], namespace?: string): Promise<Shown> =>
  eventually(async () => {
    const shown = await show(name, namespace);
    const current = shown.status?.observedGeneration === shown.metadata.generation;
    return current && told(shown).join() === conditions.join() && shown;
  }, 60_000);
const READY = ['Ready=True AllReplicasReady'];
const stalledBy = (reason: string) => [`Ready=False ${reason}`, `Stalled=True ${reason}`];

describe('Custom resource: a wish kept in Git', () => {
  test('it is deployed through the API, and its status says so as kstatus reads it', async () => {
    await make('git', {});
    const shown = await until('git', READY);
    expect(shown.status).toMatchObject({ replicas: '1/1', url: `${purser.routerUrl}/example/demo/git` });
    const table = await cluster.kubectl('get', 'modeldeployments', '-n', 'shop');
    expect(table).toMatch(
      /NAME\s+PATH\s+READY\s+PHASE\s+REPLICAS\s+USD\/MONTH\s+AGE\n\s*git\s+example\/demo\/git\s+True\s+READY\s+1\/1/,
    );
    const waited = await cluster.kubectl('wait', '--for=condition=Ready', 'modeldeployment/git', '-n', 'shop', '--timeout=5s');
    expect(waited).toContain('condition met');
  });

  test('a change of the object is a change of the deployment; nobody else may change it, and the refusal says who may', async () => {
    await change('git', { replicas: 2 });
    const shown = await until('git', READY);
    expect(shown.status?.replicas).toBe('2/2');
    const cli = openCli({ PURSER_URL: purser.apiUrl, PURSER_TOKEN: purser.adminToken });
    const { code, stderr } = await cli.run(['scale', 'example/demo/git', '--replicas', '1']);
    cli.close();
    expect(code).not.toBe(0);
    expect(stderr).toContain('It is managed by ModelDeployment east/shop/git: change it there.');
    expect((await show('git')).status?.replicas).toBe('2/2');
  });

  test('in a steady state nothing is written', async () => {
    const { metadata } = await show('git');
    const since = Date.now();
    await eventually(() => Date.now() - since > 5_000);
    expect((await show('git')).metadata.resourceVersion).toBe(metadata.resourceVersion);
  });

  test('what was made through the API is not taken over', async () => {
    await make('digits', {});
    const shown = await until('digits', stalledBy('ManagedElsewhere'));
    expect(shown.status?.conditions[0]?.message).toContain(`${DIGITS} was made through the API`);
    await cluster.api.delete(`${OBJECTS}/digits`);
    await eventually(() =>
      show('digits').then(
        () => false,
        () => true,
      ),
    );
    const { deployment } = await ask<{ deployment: { status: { phase: string } } }>(
      purser,
      'query ($path: String!) { deployment(by: { path: $path }) { status { phase } } }',
      { path: DIGITS },
    );
    expect(deployment.status.phase).toBe('READY');
  });

  test('a namespace deploys only for the team that it is labelled for', async () => {
    await make('stray', {}, 'elsewhere');
    await until('stray', stalledBy('NamespaceNotAllowed'), 'elsewhere');
    await cluster.kubectl('label', 'namespace', 'elsewhere', 'purser.dev/team=example');
    await until('stray', READY, 'elsewhere');
    await cluster.api.delete(`${OBJECTS.replace('shop', 'elsewhere')}/stray`);
  });

  test.each<[string, object, string]>([
    ['a version by number and by alias', { modelVersion: 1, alias: 'champion' }, 'Give modelVersion or alias, not both.'],
    ['a project that is no path', { project: 'demo' }, 'spec.project'],
    ['an amount that is none', { maxSpendPerHour: 'much' }, 'spec.maxSpendPerHour'],
    ['a number of replicas below zero', { replicas: -1 }, 'spec.replicas'],
  ])('the API server refuses %s and names the field', async (_what, spec, words) => {
    await expect(make('wrong', spec)).rejects.toThrow(words);
  });

  test('another project or name is refused: that would be another deployment', async () => {
    await expect(change('git', { project: 'example/other' })).rejects.toThrow('A deployment stays in its project.');
    await expect(change('git', { name: 'other' })).rejects.toThrow('A deployment keeps its name.');
  });

  test('what the API refuses stalls with its words until the object is mended', async () => {
    await make('greedy', { replicas: 3, maxReplicas: 1 });
    await until('greedy', stalledBy('InvalidInput'));
    await change('greedy', { replicas: 1 });
    await until('greedy', READY);
  });

  test('an operator that was killed goes on where it was', async () => {
    operator.kill('SIGKILL');
    await ended(operator);
    await change('git', { replicas: 1 });
    await cluster.api.delete(`${OBJECTS}/greedy`);
    operator = startOperator();
    await eventually(
      () =>
        show('greedy').then(
          () => false,
          () => true,
        ),
      60_000,
    );
    expect((await until('git', READY)).status?.replicas).toBe('1/1');
  });

  test('a deleted object goes when its deployment is gone', async () => {
    await cluster.api.delete(`${OBJECTS}/git`);
    await eventually(
      () =>
        show('git').then(
          () => false,
          () => true,
        ),
      60_000,
    );
    const { deployment } = await ask<{ deployment: unknown }>(
      purser,
      'query ($path: String!) { deployment(by: { path: $path }) { id } }',
      { path: 'example/demo/git' },
    );
    expect(deployment).toBeNull();
  });
});
