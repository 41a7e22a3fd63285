// The client of the Kubernetes API on a real, bare API server, straight and through a proxy that answers in the server's place, hangs or
// cuts. What was asked is counted at the proxy, what came of it is read from the server.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isOutage, KubernetesError, KubernetesUnreachable } from '../../src/kubernetes/api/errors.ts';
import type { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import { CONFIG_MAPS, KUBERNETES_DEPLOYMENTS, NAMESPACES, PODS } from '../../src/kubernetes/api/resource.ts';
import { eventually } from '../support/eventually.ts';
import { onAny, type Fault, type FaultProxy } from '../support/fault-proxy.ts';
import { clock, configMap, openProxiedApi, statusBody, type ProxiedApi } from '../support/kubernetes-world.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';

let server: BareApiServer;
let world: ProxiedApi;
let api: KubernetesApi;
let proxy: FaultProxy;
let namespace: string;
let count = 0;

beforeAll(async () => {
  server = await startBareApiServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  world = await openProxiedApi(server.kubeconfig);
  ({ api, proxy } = world);
  namespace = `client-${(count += 1)}`;
  await api.apply(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
});
afterEach(() => world.close());

const put = (value: string, more: object = {}) =>
  api.apply(CONFIG_MAPS, { ...configMap(namespace, 'a', { value }), metadata: { namespace, name: 'a', ...more } });
const read = (from = api) => from.get(CONFIG_MAPS, { namespace, name: 'a' });
const stored = async (): Promise<string | undefined> => {
  const path = `/api/v1/namespaces/${namespace}/configmaps/a`;
  return (await server.api.get<{ data?: Record<string, string> }>(path)).data?.['value'];
};
const refused = async (work: Promise<unknown>): Promise<KubernetesError> => {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KubernetesError);
  return error as KubernetesError;
};
const unreachable = async (work: Promise<unknown>): Promise<KubernetesUnreachable> => {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(KubernetesUnreachable);
  return error as KubernetesUnreachable;
};
/** Requests with this method in the test's namespace. */
const asked = (method: string): number =>
  proxy.seen.filter((seen) => seen.method === method && seen.url.includes(`/${namespace}/`)).length;

describe('Cluster adapter: server-side apply with one field manager', () => {
  it('makes, changes and says the same again without effect', async () => {
    const made = await put('1');
    const changed = await put('2');
    const again = await put('2');
    expect(await stored()).toBe('2');
    expect(changed.metadata.uid).toBe(made.metadata.uid);
    expect(again.metadata.resourceVersion).toBe(changed.metadata.resourceVersion);
    expect(changed.metadata.managedFields?.map(({ manager, operation }) => [manager, operation])).toEqual([['purser', 'Apply']]);
  });

  it('leaves the fields of others alone, takes back its own, and without force says who has them', async () => {
    await put('1');
    const foreign = { ...configMap(namespace, 'a', { value: 'theirs', other: 'theirs' }) };
    const error = await refused(api.apply(CONFIG_MAPS, foreign, { force: false, fieldManager: 'somebody' }));
    expect([error.status, error.reason, error.causes.map(({ field }) => field)]).toEqual([409, 'Conflict', ['.data.value']]);
    await api.apply(CONFIG_MAPS, foreign, { fieldManager: 'somebody' });
    expect((await put('mine')).data).toEqual({ value: 'mine', other: 'theirs' });
  });

  it('refuses to write over a state that was not read', async () => {
    const { metadata } = await put('1');
    await put('2');
    const error = await refused(put('3', { resourceVersion: metadata.resourceVersion }));
    expect([error.status, error.reason, isOutage(error), await stored()]).toEqual([409, 'Conflict', false, '2']);
  });

  it('tells what is wrong with an object in the server’s words, field by field', async () => {
    const broken = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { namespace, name: 'a' }, spec: { replicas: -1 } };
    const error = await refused(api.apply(KUBERNETES_DEPLOYMENTS, broken));
    expect([error.status, error.reason]).toEqual([422, 'Invalid']);
    expect(error.causes.map(({ field }) => field)).toContain('spec.selector');
  });

  it('writes a status apart from the spec', async () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name: 'p' } };
    const spec = { containers: [{ name: 'c', image: 'example.test/image' }], automountServiceAccountToken: false };
    await server.api
      .create(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: 'default' } })
      .catch(() => undefined);
    await api.apply(PODS, { ...pod, spec });
    const shown = await api.apply(PODS, { ...pod, status: { message: 'seen' } }, { subresource: 'status' });
    expect([shown.status?.message, shown.spec?.containers[0]?.name]).toEqual(['seen', 'c']);
    expect(await api.evict({ namespace, name: 'p' })).toBe(true);
    expect(await api.delete(PODS, { namespace, name: 'p' }, { gracePeriodSeconds: 0 })).toBe(false);
    expect(await api.evict({ namespace, name: 'p' })).toBe(false);
  });
});

describe('Cluster adapter: deleting and reading', () => {
  it('deletes only what was meant', async () => {
    const { metadata } = await put('1');
    const ref = { namespace, name: 'a' };
    expect(await refused(api.delete(CONFIG_MAPS, ref, { uid: 'another' }))).toMatchObject({ status: 409 });
    expect(await refused(api.delete(CONFIG_MAPS, ref, { resourceVersion: '1' }))).toMatchObject({ status: 409 });
    expect(await api.delete(CONFIG_MAPS, ref, { uid: metadata.uid, resourceVersion: metadata.resourceVersion })).toBe(true);
    expect([await api.delete(CONFIG_MAPS, ref), await read()]).toEqual([false, null]);
  });

  it('tells an absent object from an absent namespace', async () => {
    expect(await read()).toBeNull();
    const error = await refused(api.apply(CONFIG_MAPS, configMap('nowhere', 'a', {})));
    expect([error.status, error.reason, error.objectName]).toEqual([404, 'NotFound', 'nowhere']);
  });
});

describe('Fault: 429 with Retry-After; an overloaded API server', () => {
  const busy = (seconds: string, more: object = {}): Fault => ({
    kind: 'answer',
    status: 429,
    headers: { 'retry-after': seconds },
    body: statusBody(429, 'TooManyRequests', 'too many requests', more),
  });

  it('is asked again after its Retry-After, writes too: it has not begun them', async () => {
    proxy.fail({ on: ({ method }) => method === 'PATCH', times: 1, fault: busy('1') });
    const began = clock.now();
    await put('1');
    expect(clock.now() - began).toBeGreaterThanOrEqual(990);
    expect([asked('PATCH'), await stored()]).toEqual([2, '1']);
  });

  it('that stays so is reported with its Retry-After, after three tries', async () => {
    proxy.fail({ on: ({ method }) => method === 'PATCH', fault: busy('1') });
    const error = await refused(put('1'));
    expect([error.status, error.reason, error.retryAfterMs, isOutage(error), asked('PATCH')]).toEqual([
      429,
      'TooManyRequests',
      1_000,
      true,
      3,
    ]);
  });

  it('that asks for a long pause is not waited for', async () => {
    proxy.fail({ on: onAny, fault: busy('30') });
    expect([(await refused(read())).retryAfterMs, asked('GET')]).toEqual([30_000, 1]);
  });

  it('is another thing than a disruption budget that holds a pod: that is the answer, and no outage', async () => {
    proxy.fail({ on: onAny, fault: busy('1', { causes: [{ reason: 'DisruptionBudget', message: 'needs 1 healthy pods' }] }) });
    const error = await refused(api.evict({ namespace, name: 'p' }));
    expect([error.heldByDisruptionBudget, isOutage(error), asked('POST')]).toEqual([true, false, 1]);
  });
});

describe('Fault: 500, hang, garbage, slow; an API server in trouble', () => {
  const broken: Fault = { kind: 'answer', status: 500, body: statusBody(500, 'InternalError', 'etcd is away') };

  it('is asked again for reads', async () => {
    await put('1');
    proxy.fail({ on: ({ method }) => method === 'GET', times: 2, fault: broken });
    expect((await read())?.data).toEqual({ value: '1' });
    expect(asked('GET')).toBe(3);
  });

  it('is not asked again for writes, which may have been done', async () => {
    proxy.fail({ on: ({ method }) => method === 'PATCH', times: 1, fault: broken });
    const error = await refused(put('1'));
    expect([error.message, isOutage(error), asked('PATCH')]).toEqual(['etcd is away', true, 1]);
  });

  it('whose answer is lost has done the write; the same again is without effect', async () => {
    proxy.fail({ on: ({ method }) => method === 'PATCH', times: 1, fault: { kind: 'cut-answer' } });
    expect((await unreachable(put('1'))).kind).toBe('connection');
    expect([await stored(), asked('PATCH')]).toEqual(['1', 1]);
    const { metadata } = await put('1');
    expect(metadata.resourceVersion).toBe((await read())?.metadata.resourceVersion);
  });

  it('that breaks the connection under a read is asked again', async () => {
    await put('1');
    proxy.fail({ on: ({ method }) => method === 'GET', times: 2, fault: { kind: 'cut-answer' } });
    expect((await read())?.data).toEqual({ value: '1' });
  });

  it('that hangs is unreachable in time, and not asked again', async () => {
    proxy.fail({ on: onAny, fault: { kind: 'hang' } });
    const began = clock.now();
    const impatient = world.impatient({ readMs: 500, writeMs: 300 });
    const error = await unreachable(read(impatient));
    expect([error.kind, asked('GET'), clock.now() - began < 2_000]).toEqual(['timeout', 1, true]);
    const write = impatient.apply(CONFIG_MAPS, configMap(namespace, 'a', {}));
    expect((await unreachable(write)).message).toContain('no answer within 300 ms');
  });

  it('that hangs in the middle of an answer is unreachable in time', async () => {
    await put('x'.repeat(100_000));
    proxy.fail({ on: onAny, fault: { kind: 'slow', bytes: 10, everyMs: 50 } });
    expect((await unreachable(read(world.impatient({ readMs: 500 })))).kind).toBe('timeout');
  });

  it('that hangs is left when the caller leaves', async () => {
    proxy.fail({ on: onAny, fault: { kind: 'hang' } });
    const leaving = new AbortController();
    const work = api.get(CONFIG_MAPS, { namespace, name: 'a' }, { signal: leaving.signal });
    await eventually(() => asked('GET') === 1);
    leaving.abort(new Error('the loop ends'));
    await expect(work).rejects.toThrow('the loop ends');
  });

  for (const [name, status, body] of [
    ['a page of HTML', 200, '<html>Sign in</html>'],
    ['half of JSON', 200, '{"metadata":'],
    ['an object without identity', 200, '{"metadata":{"name":"a"}}'],
    ['a list', 200, '[]'],
    ['a gateway’s page', 502, '<html>Bad gateway</html>'],
    ['nothing', 200, ''],
  ] as const)
    it(`that answers with ${name} is unreachable, not empty`, async () => {
      proxy.fail({ on: onAny, fault: { kind: 'answer', status, body } });
      const error = await unreachable(read());
      expect([error.kind, isOutage(error)]).toEqual(['garbage', true]);
    });

  it('that is not there at all is unreachable', async () => {
    await proxy.close();
    expect((await unreachable(read())).kind).toBe('connection');
    world = await openProxiedApi(server.kubeconfig);
  });
});

describe('Cluster adapter: many calls at once', () => {
  it('reach the server sixteen at a time, all of them', async () => {
    proxy.fail({ on: onAny, fault: { kind: 'hang' } });
    const impatient = world.impatient({ readMs: 1_000 });
    const calls = Array.from({ length: 40 }, (_, n) =>
      impatient.get(CONFIG_MAPS, { namespace, name: `m${n}` }).catch((error: unknown) => error),
    );
    await eventually(() => asked('GET') >= 16);
    expect(asked('GET')).toBe(16);
    const outcomes = await Promise.all(calls);
    expect(asked('GET')).toBe(40);
    expect(outcomes.every((outcome) => outcome instanceof KubernetesUnreachable)).toBe(true);
  });
});
