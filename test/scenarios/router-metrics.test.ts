// A real router on every address of this machine, asked on loopback and, where there is one, on another address.
import { networkInterfaces } from 'node:os';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dataFolder, startRouter, TestControlPlane } from '../support/routed.ts';

const elsewhere = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

async function scene(): Promise<(host: string, token: string | null) => Promise<number>> {
  const plane = new TestControlPlane();
  await plane.start();
  const { router, url } = await startRouter(dataFolder(), plane.port, { host: '0.0.0.0' });
  onTestFinished(async () => {
    await router.drain();
    await plane.stop();
  });
  const port = new URL(url).port;
  return async (host, token) => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    return (await fetch(`http://${host}:${port}/-/metrics`, { headers })).status;
  };
}

describe('Router: who may read its metrics', () => {
  test('whoever is on its machine', async () => {
    const ask = await scene();
    expect(await ask('127.0.0.1', null)).toBe(200);
  });

  test.skipIf(elsewhere === undefined)('elsewhere, whoever shows its own token; to others there is no such page', async () => {
    const ask = await scene();
    expect(await ask(elsewhere ?? '', null)).toBe(404);
    expect(await ask(elsewhere ?? '', 'another-token')).toBe(404);
    expect(await ask(elsewhere ?? '', 'router-token')).toBe(200);
  });
});
