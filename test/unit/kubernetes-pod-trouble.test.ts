// Pods as the API server shows them, and what is said of them.
import { describe, expect, test } from 'vitest';
import type { KubernetesDeployment, Pod } from '../../src/kubernetes/api/objects.ts';
import { podTrouble } from '../../src/kubernetes/replicas/pod-trouble.ts';
import { workloadProblem } from '../../src/kubernetes/workloads/workload-problem.ts';

const OPTIONS = { now: 60_000, readinessTimeoutMs: 30_000, memoryMib: 512, healthPath: '/healthz' };

const pod = (status: Pod['status'], metadata: Partial<Pod['metadata']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-1', namespace: 'purser-acme', uid: 'one', resourceVersion: '1', ...metadata },
  status,
});

const ended = (exitCode: number): Pod['status'] => ({
  phase: 'Running',
  containerStatuses: [
    {
      name: 'replica',
      ready: false,
      restartCount: 0,
      state: { terminated: { exitCode, startedAt: '1970-01-01T00:00:10Z', finishedAt: '1970-01-01T00:00:20Z' } },
    },
  ],
});

describe('Fault: crash loop, OOM kill, never ready; the end of a container', () => {
  test.each([0, 1, 137])('status %i is a crash, unless its pod is being deleted', (exitCode) => {
    expect(podTrouble(pod(ended(exitCode)), OPTIONS).message).toBe(
      `CrashLoop: it exited with status ${exitCode}. Its log says more.`,
    );
    const deleted = pod(ended(exitCode), { deletionTimestamp: '1970-01-01T00:00:15Z' });
    expect(podTrouble(deleted, OPTIONS)).toEqual({ message: '', failing: false });
  });

  test('an eviction is told although the pod is being deleted', () => {
    const evicted = pod(
      { phase: 'Failed', reason: 'Evicted', message: 'The node was low on memory.' },
      { deletionTimestamp: '1970-01-01T00:00:15Z' },
    );
    expect(podTrouble(evicted, OPTIONS).message).toMatch(/^Evicted: The node was low on memory\./);
  });
});

describe('Fault: admission refusal, quota exhausted; what keeps pods from being made', () => {
  const refused = (message: string): KubernetesDeployment => ({
    metadata: { name: 'web', namespace: 'purser-acme', uid: 'one', resourceVersion: '1' },
    status: { conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message }] },
  });

  test.each([
    ['pods "web-1" is forbidden: exceeded quota: purser-replicas', 'QuotaExceeded', false],
    [
      'pods "web-1" is forbidden: unable to create new content in namespace x because it is being terminated',
      'NamespaceEnding',
      false,
    ],
    ['admission webhook "signed" denied the request', 'AdmissionRefused', true],
  ])('%s', (message, reason, failing) => {
    const problem = workloadProblem(refused(message), []);
    expect(problem).toMatchObject({ reason, failing });
    expect(problem?.message).toContain(message);
  });
});
