// The operator's decisions as tables: one object, what the API says, and the one next act with the status that kstatus reads.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadYaml } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import type { DeploymentView } from '../../src/kubernetes/operator/deployments-api.port.ts';
import { managerOf, OPERATOR_FINALIZER, parseModelDeployment } from '../../src/kubernetes/operator/model-deployment.ts';
import { planSync, type SyncInput } from '../../src/kubernetes/operator/plan-sync.ts';

const NOW = Date.UTC(2026, 0, 1);
const made = (more: object = {}, status?: object) => {
  const object = parseModelDeployment({
    metadata: {
      ...{ namespace: 'shop', name: 'digits', uid: 'u', generation: 3, resourceVersion: '9', finalizers: [OPERATOR_FINALIZER] },
      ...more,
    },
    spec: { project: 'acme/demo', model: 'digits' },
    ...(status ? { status } : {}),
  });
  if (!object) throw new Error('not a ModelDeployment');
  return object;
};
const manager = managerOf('east', made());
const view: DeploymentView = {
  ...{ id: 'd', phase: 'READY', manager, generation: 2, observedGeneration: 2, wishedReplicas: 2, readyReplicas: 2, revision: 1 },
  ...{ url: 'http://router/acme/demo/digits', monthlyCost: '0.2' },
  ready: { status: 'True', reason: 'AllReplicasReady', message: '2 of 2 replicas are ready.' },
};
const input = (more: Partial<SyncInput> = {}): SyncInput => ({
  ...{ object: made(), manager, namespaceTeam: 'acme', view, refusal: null },
  ...more,
});
const told = (one: SyncInput): string[] =>
  (planSync(one, NOW).status?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);

describe('Custom resource: the next act', () => {
  const deleted = { deletionTimestamp: '2026-01-01T00:00:00Z' };
  test.each<[string, Partial<SyncInput>, string]>([
    ['a new object is held until its deployment is gone', { object: made({ finalizers: [] }), view: null }, 'add_finalizer'],
    ['it is handed over', { view: null, refusal: undefined }, 'deploy'],
    ['an older generation was handed over', { refusal: undefined, object: made({}, { observedGeneration: 2 }) }, 'deploy'],
    ['this generation was handed over', { refusal: undefined, object: made({}, { observedGeneration: 3 }) }, 'none'],
    ['its deployment was lost', { view: null, refusal: null }, 'deploy'],
    ['the API refused it', { refusal: { code: 'LIMIT_EXCEEDED', message: 'No.' } }, 'none'],
    [
      'it was refused before a restart',
      {
        refusal: undefined,
        object: made(
          {},
          {
            observedGeneration: 3,
            conditions: [
              { type: 'Stalled', status: 'True', reason: 'X', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
            ],
          },
        ),
      },
      'deploy',
    ],
    ['the API is away', { view: undefined }, 'none'],
    ['its namespace belongs to another team', { namespaceTeam: 'other', view: null, refusal: undefined }, 'none'],
    ['its namespace belongs to nobody', { namespaceTeam: null, view: null, refusal: undefined }, 'none'],
    ['the deployment was made through the API', { view: { ...view, manager: null } }, 'none'],
    ['it is deleted', { object: made(deleted) }, 'remove'],
    ['its deployment drains', { object: made(deleted), view: { ...view, phase: 'DELETING' } }, 'none'],
    ['its deployment is gone', { object: made(deleted), view: null }, 'drop_finalizer'],
    [
      'it is deleted and the deployment is somebody else’s',
      { object: made(deleted), view: { ...view, manager: 'x' } },
      'drop_finalizer',
    ],
    ['it is deleted while the API is away', { object: made(deleted), view: undefined }, 'none'],
    ['it is deleted and not held', { object: made({ ...deleted, finalizers: [] }), view: null }, 'none'],
  ])('%s', (_name, more, act) => expect(planSync(input(more), NOW).act).toBe(act));
});

describe('Custom resource: status as kstatus reads it', () => {
  test.each<[string, Partial<SyncInput>, string[]]>([
    ['current', {}, ['Ready=True AllReplicasReady']],
    [
      'in progress',
      { view: { ...view, ready: { status: 'False', reason: 'ReplicasNotReady', message: '' } } },
      ['Ready=False ReplicasNotReady', 'Reconciling=True ReplicasNotReady'],
    ],
    [
      'handed over, not acted on',
      { view: { ...view, generation: 3 } },
      ['Ready=False HandedOver', 'Reconciling=True HandedOver'],
    ],
    [
      'failed',
      { view: { ...view, phase: 'FAILED', ready: { status: 'False', reason: 'ReplicasFailing', message: '' } } },
      ['Ready=False ReplicasFailing', 'Stalled=True ReplicasFailing'],
    ],
    [
      'refused',
      { refusal: { code: 'LIMIT_EXCEEDED', message: '' } },
      ['Ready=False LimitExceeded', 'Stalled=True LimitExceeded'],
    ],
    ['unknown', { view: undefined }, ['Ready=Unknown ApiUnavailable', 'Reconciling=True ApiUnavailable']],
    ['two writers', { view: { ...view, manager: 'x' } }, ['Ready=False ManagedElsewhere', 'Stalled=True ManagedElsewhere']],
  ])('%s', (_name, more, wanted) => expect(told(input(more))).toEqual(wanted));

  test('a condition that says the same keeps its time, so that a steady state writes nothing', () => {
    const { status } = planSync(input(), NOW);
    const again = planSync(input({ object: made({}, status ?? undefined) }), NOW + 60_000);
    expect(again.status).toEqual(status);
    expect(status).toMatchObject({ replicas: '2/2', observedGeneration: 3, path: 'acme/demo/digits', revision: 1 });
  });
});

test('the definition of the custom resource and the shape that is read name the same fields', () => {
  const file = join(import.meta.dirname, '..', '..', 'deploy', 'helm', 'purser', 'crds', 'modeldeployments.purser.dev.yaml');
  interface Definition {
    spec: { versions: { schema: { openAPIV3Schema: { properties: { spec: { properties: object } } } } }[] };
  }
  const definition = loadYaml<Definition>(readFileSync(file, 'utf8'));
  const fields = Object.keys(definition.spec.versions[0]!.schema.openAPIV3Schema.properties.spec.properties);
  const all = Object.fromEntries(fields.map((field) => [field, SAMPLES[field]]));
  expect(Object.keys(made({}).spec)).toEqual(['project', 'model']);
  expect(Object.keys(parseModelDeployment({ ...made(), spec: all })?.spec ?? {}).sort()).toEqual(fields.sort());
});

const SAMPLES: Readonly<Record<string, unknown>> = {
  ...{ project: 'a/b', name: 'c', model: 'd', modelVersion: 1, alias: 'e', replicas: 1, concurrency: 1, deadlineMs: 1 },
  ...{ readinessTimeoutMs: 1, queueLimit: 1, retryable: true, hosts: [], maxReplicas: 1, maxSpendPerHour: '1', regions: [] },
  ...{ capacityTypes: ['SPOT'], clusters: [{ cluster: 'x' }], resources: { cpuMilli: 1, memoryMib: 1 } },
};
