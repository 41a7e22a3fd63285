// Real routers against a real link that shows a certificate.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { packageRoot as root } from '../../src/main/package-root.ts';
import { eventually } from '../support/eventually.ts';
import {
  bearer,
  dataFolder,
  deployment,
  replica,
  revision,
  startRouter,
  table,
  TestControlPlane,
  upstream,
} from '../support/routed.ts';

const pem = (name: string) => readFileSync(join(root, 'test', 'support', 'certificate', name), 'utf8');
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function securePlane(): Promise<TestControlPlane> {
  const { server, address } = await upstream((_request, response) => void response.end('ok'));
  const plane = new TestControlPlane();
  plane.current = table(1, [deployment('a/b/c', [revision([replica(address)])])]);
  await plane.start(0, { cert: pem('cert.pem'), key: pem('key.pem') });
  closers.push(
    () => plane.stop(),
    () => (server.closeAllConnections(), server.close()),
  );
  return plane;
}

async function routerAt(plane: TestControlPlane, link: { url: string; ca: string | null }): Promise<string> {
  const { router, url } = await startRouter(dataFolder(), plane.port, { link });
  closers.push(() => router.drain());
  return url;
}

describe('Router link: TLS by configuration', () => {
  test('a router that trusts the certificate gets tables and reports through it', async () => {
    const plane = await securePlane();
    const url = await routerAt(plane, { url: `https://127.0.0.1:${plane.port}`, ca: pem('cert.pem') });
    await eventually(async () => (await fetch(`${url}/-/readyz`)).ok);
    expect((await fetch(`${url}/a/b/c/x`, { headers: bearer })).status).toBe(200);
    await eventually(() => plane.sum('requests') === 1);
  });

  test('one that does not trust it, or speaks without TLS, gets nothing', async () => {
    const plane = await securePlane();
    const strangers = [
      await routerAt(plane, { url: `https://127.0.0.1:${plane.port}`, ca: null }),
      await routerAt(plane, { url: `http://127.0.0.1:${plane.port}`, ca: null }),
    ];
    const trusting = await routerAt(plane, { url: `https://127.0.0.1:${plane.port}`, ca: pem('cert.pem') });
    await eventually(async () => (await fetch(`${trusting}/-/readyz`)).ok);
    for (const url of strangers) expect((await fetch(`${url}/-/readyz`)).status).toBe(503);
  });
});
