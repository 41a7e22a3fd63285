// Tests API servers without nodes: several at once, what stays when one is away, and what is left when their owner is killed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { startBareApiServer, type BareApiServer } from './cluster/bare-api-server.ts';
import { childrenOf, isAlive } from './cluster/processes.ts';

const started: BareApiServer[] = [];
const start = async () => {
  const server = await startBareApiServer();
  started.push(server);
  return server;
};
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const keep = (server: BareApiServer, name: string) => server.api.create(CONFIG_MAPS, { metadata: { name } });

afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

describe('Test cluster: a bare API server', () => {
  test('has an address and data of its own', async () => {
    const [one, other] = await Promise.all([start(), start()]);
    expect(one.server).not.toBe(other.server);
    await keep(one, 'mine');
    await expect(other.api.get(`${CONFIG_MAPS}/mine`)).rejects.toThrow(/not found/);
  });

  test('comes back under its address with what it kept', async () => {
    const server = await start();
    await keep(server, 'kept');
    await server.stopServing();
    await expect(server.api.get(`${CONFIG_MAPS}/kept`)).rejects.toThrow();
    await server.startServing();
    expect((await server.api.get(`${CONFIG_MAPS}/kept`)).metadata.name).toBe('kept');
  });

  test('does not answer while it is frozen', async () => {
    const server = await start();
    server.freeze();
    let answered = false;
    const answer = server.api.get('/version').then(() => (answered = true));
    await expect(eventually(() => answered, 500)).rejects.toThrow();
    server.thaw();
    await answer;
  });

  test('pretends that pods run, where a test wants no more', async () => {
    const server = await startBareApiServer({ pretendedNodes: 1 });
    started.push(server);
    await server.api.create('/apis/apps/v1/namespaces/default/deployments', {
      metadata: { name: 'pretended' },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: 'pretended' } },
        template: {
          metadata: { labels: { app: 'pretended' } },
          spec: { containers: [{ name: 'one', image: 'nowhere.test/absent:1' }] },
        },
      },
    });
    await eventually(async () => {
      const { status } = await server.api.get('/apis/apps/v1/namespaces/default/deployments/pretended');
      return status?.['readyReplicas'] === 3;
    }, 60_000);
  });

  test('leaves nothing behind when it is stopped', async () => {
    const server = await start();
    await server.stop();
    started.length = 0;
    expect(existsSync(dirname(server.kubeconfig))).toBe(false);
  });

  test('ends with the process that started it, however that ends, and the next start removes its files', async () => {
    const source = `
      const { startBareApiServer } = await import(${JSON.stringify(new URL('cluster/bare-api-server.ts', import.meta.url).href)});
      console.log((await startBareApiServer()).kubeconfig);
      setInterval(() => undefined, 1000);`;
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(owner.stdout, 'data')) as [Buffer];
    const folder = dirname(line.toString().trim());
    const programs = childrenOf(owner.pid!);
    expect(programs.length).toBe(2);
    owner.kill('SIGKILL');
    await eventually(() => !programs.some(isAlive));
    expect(existsSync(folder)).toBe(true);
    await start();
    expect(existsSync(folder)).toBe(false);
  });
});
