// Caches while a real, bare API server behind a proxy refuses, fails, hangs, talks garbage, is slow, goes away, does not know the kind or
// does not know the token. The last whole state stays readable and says that it is old; every case ends with the server's state.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KubernetesError, NO_SUCH_RESOURCE } from '../../src/kubernetes/api/errors.ts';
import type { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { Resource } from '../../src/kubernetes/api/resource.ts';
import { ResourceCache } from '../../src/kubernetes/watch/resource-cache.ts';
import { distrust } from '../../src/kubernetes/watch/trust.ts';
import { eventually } from '../support/eventually.ts';
import { onAny, onList, onWatch, type Fault } from '../support/fault-proxy.ts';
import { clock, random, statusBody, tokenOf } from '../support/kubernetes-world.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import { QUICK, WatchedConfigMaps } from '../support/watched-config-maps.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';

let server: BareApiServer;
let maps: WatchedConfigMaps;
let count = 0;

beforeAll(async () => {
  server = await startBareApiServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  maps = await WatchedConfigMaps.open(server.kubeconfig, `watch-${(count += 1)}`);
});
afterEach(() => maps.close());

const impatient = (): KubernetesApi => maps.world.impatient({ listMs: 2_000, watchStartMs: 2_000 });

describe('Fault: 429, 500, hang, garbage, slow; a cache keeps the last whole state and says that it is old', () => {
  const rows: readonly { name: string; fault: Fault; error: RegExp }[] = [
    {
      name: '500',
      fault: { kind: 'answer', status: 500, body: statusBody(500, 'InternalError', 'etcd is away') },
      error: /etcd is away/,
    },
    { name: '503 in plain text', fault: { kind: 'answer', status: 503, body: 'overloaded' }, error: /503: "overloaded"/ },
    { name: 'a gateway’s 502', fault: { kind: 'answer', status: 502, body: '<html>Bad gateway</html>' }, error: /502: "<html>/ },
    { name: 'garbage', fault: { kind: 'answer', status: 200, body: '<html>Sign in</html>' }, error: /not a JSON object/ },
    {
      name: 'JSON that is no list',
      fault: { kind: 'answer', status: 200, body: '{"kind":"Surprise"}' },
      error: /without items|not what an API server/,
    },
    { name: 'hang', fault: { kind: 'hang' }, error: /no answer within 2000 ms/ },
    { name: 'connections that are cut', fault: { kind: 'cut', afterBytes: 40 }, error: /GET .*configmaps/ },
    {
      name: '403',
      fault: { kind: 'answer', status: 403, body: statusBody(403, 'Forbidden', 'you may not') },
      error: /you may not/,
    },
  ];
  for (const { name, fault, error } of rows)
    it(name, async () => {
      await maps.put('a', '1');
      const view = maps.watched({}, impatient());
      await view.cache.synced();
      maps.world.proxy.fail({ on: onAny, fault });
      view.cache.resync();
      const { error: trouble, troubledSince } = await eventually(() => {
        const freshness = view.cache.freshness();
        return freshness.error !== null && freshness;
      });
      expect(trouble?.message).toMatch(error);
      expect(view.values()).toEqual({ a: '1' });
      expect(distrust(view.cache.freshness(), troubledSince ?? 0)).toBeNull();
      expect(distrust(view.cache.freshness(), (troubledSince ?? 0) + 6_000)).toMatch(error);
      await maps.put('a', '2');
      await maps.remove('a');
      await maps.put('b', '1');
      maps.world.proxy.heal();
      await view.is({ b: '1' });
      expect(view.cache.freshness()).toMatchObject({ error: null, troubledSince: null });
      expect(view.told).toEqual(['added a', 'deleted a', 'added b']);
    });

  it('is not complete before the first whole list, however many tries it takes', async () => {
    await maps.put('a', '1');
    maps.world.proxy.fail({
      on: onAny,
      fault: { kind: 'answer', status: 500, body: statusBody(500, 'InternalError', 'starting') },
    });
    const view = maps.watched();
    await eventually(() => view.cache.freshness().error !== null);
    expect(distrust(view.cache.freshness(), clock.now())).toBe('never seen: starting');
    expect(view.cache.items().size).toBe(0);
    maps.world.proxy.heal();
    await view.cache.synced();
    expect(view.values()).toEqual({ a: '1' });
  });

  it('429: not before the Retry-After is over', async () => {
    const view = maps.watched();
    await view.cache.synced();
    const headers = { 'retry-after': '4' };
    const fault: Fault = { kind: 'answer', status: 429, headers, body: statusBody(429, 'TooManyRequests', 'slow down') };
    maps.world.proxy.fail({ on: onList, times: 1, fault });
    const [began, before] = [clock.now(), maps.lists()];
    view.cache.resync();
    await eventually(() => maps.lists() === before + 2);
    expect(clock.now() - began).toBeGreaterThanOrEqual(3_900);
  });

  it('a slow server: as it comes, whole', async () => {
    for (const name of ['a', 'b', 'c']) await maps.put(name, '1');
    maps.world.proxy.fail({ on: onList, times: 1, fault: { kind: 'slow', bytes: 200, everyMs: 20 } });
    maps.world.proxy.fail({ on: onWatch, times: 1, fault: { kind: 'slow', bytes: 50, everyMs: 20 } });
    const view = maps.watched();
    await view.cache.synced();
    expect(view.values()).toEqual({ a: '1', b: '1', c: '1' });
    await maps.put('a', '2');
    await view.is({ a: '2', b: '1', c: '1' });
    expect([maps.lists(), maps.watches()]).toEqual([1, 1]);
  });

  it('a server that goes away and comes back, with its connections', async () => {
    await maps.put('a', '1');
    const view = maps.watched();
    await view.cache.synced();
    await server.stopServing();
    await eventually(() => view.cache.freshness().error !== null);
    await server.startServing();
    await maps.put('a', '2');
    await view.is({ a: '2' });
    expect(view.told).toEqual(['added a', 'changed a']);
  });

  it('a frozen server: nothing answers, then everything goes on', async () => {
    await maps.put('a', '1');
    const view = maps.watched({ watchMs: 1_000, graceMs: 500 }, impatient());
    await view.cache.synced();
    server.freeze();
    try {
      await eventually(() => view.cache.freshness().error !== null, 20_000);
      expect(view.values()).toEqual({ a: '1' });
    } finally {
      server.thaw();
    }
    await maps.put('a', '2');
    await view.is({ a: '2' });
    await eventually(() => view.cache.freshness().error === null);
  });
});

describe('Fault: CRD missing; a kind that the server does not serve', () => {
  const GADGETS: Resource = { group: 'tests.purser.dev', version: 'v1', plural: 'gadgets', kind: 'Gadget', namespaced: true };
  const DEFINITION = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'gadgets.tests.purser.dev' },
    spec: {
      group: 'tests.purser.dev',
      scope: 'Namespaced',
      names: { plural: 'gadgets', singular: 'gadget', kind: 'Gadget' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  };

  it('is said to be missing until its definition comes, then followed without a restart', async () => {
    const options = { api: maps.world.api, resource: GADGETS, clock, random, logger: quietLogger, limits: QUICK };
    const cache = new ResourceCache({ ...options, project: (object) => object });
    cache.start();
    try {
      const error = await eventually(() => cache.freshness().error ?? false);
      expect(error).toBeInstanceOf(KubernetesError);
      expect(error).toMatchObject({
        reason: NO_SUCH_RESOURCE,
        message: 'the server does not serve /apis/tests.purser.dev/v1/gadgets',
      });
      await server.api.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', DEFINITION);
      await cache.synced();
      await maps.world.api.apply(GADGETS, {
        apiVersion: 'tests.purser.dev/v1',
        kind: 'Gadget',
        metadata: { namespace: maps.namespace, name: 'g' },
        size: 1,
      });
      await eventually(() => cache.get(maps.namespace, 'g') !== undefined);
    } finally {
      await cache.stop();
    }
  });
});

describe('Fault: token expired in flight; it', () => {
  const twoTokens = async (): Promise<[string, string]> => {
    const clusterRules = [{ resources: ['configmaps'], verbs: ['list', 'watch'] }];
    const tokens: string[] = [];
    for (let n = 0; n < 2; n += 1)
      tokens.push(tokenOf(await server.user({ name: 'watcher', namespace: maps.namespace, clusterRules })));
    return [tokens[0]!, tokens[1]!];
  };

  it('is replaced by the one that lies there now, without a trouble', async () => {
    const [first, second] = await twoTokens();
    maps.world.useToken(first);
    const view = maps.watched({ watchMs: 1_000 });
    await view.cache.synced();
    const body = statusBody(401, 'Unauthorized', 'Unauthorized');
    maps.world.proxy.fail({
      on: ({ authorization }) => authorization === `Bearer ${first}`,
      fault: { kind: 'answer', status: 401, body },
    });
    maps.world.useToken(second);
    await eventually(() => maps.world.proxy.seen.some(({ authorization }) => authorization === `Bearer ${second}`));
    await maps.put('a', '1');
    await view.is({ a: '1' });
    expect([maps.lists(), view.cache.freshness().error]).toEqual([1, null]);
  });

  it('without a successor is a trouble until there is one; what was seen stays', async () => {
    const [first, second] = await twoTokens();
    maps.world.useToken(first);
    await maps.put('a', '1');
    const view = maps.watched({ watchMs: 1_000 });
    await view.cache.synced();
    maps.world.useToken('not-a-token');
    const body = statusBody(401, 'Unauthorized', 'Unauthorized');
    maps.world.proxy.fail({
      on: ({ authorization }) => authorization === `Bearer ${first}`,
      fault: { kind: 'answer', status: 401, body },
    });
    const error = await eventually(() => view.cache.freshness().error ?? false);
    expect([error.message, view.values()]).toEqual(['Unauthorized', { a: '1' }]);
    maps.world.useToken(second);
    await eventually(() => view.cache.freshness().error === null);
  });
});
