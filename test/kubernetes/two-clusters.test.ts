// Tests `npm run cluster` beside the run's own cluster, as two clones on one machine do: neither disturbs the other, and what a killed one
// leaves is taken away by the next.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ClusterAccess } from './cluster/access.ts';
import { childrenOf, isAlive, type ProcessIdentity } from './cluster/processes.ts';
import { theCluster } from './cluster/testing.ts';

const cluster = await theCluster();
const START_MS = 200_000;
const running: ChildProcess[] = [];

/** With one node: the second and third programs of the machine that a test needs are enough. */
async function startAnother(): Promise<{ owner: ChildProcess; kubeconfig: string }> {
  const program = join(import.meta.dirname, 'cluster', 'main.ts');
  const owner = spawn(process.execPath, [program, '1'], { stdio: ['ignore', 'ignore', 'pipe'] });
  running.push(owner);
  let said = '';
  owner.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const kubeconfig = await eventually(() => {
    if (owner.exitCode !== null) throw new Error(`it ended:\n${said}`);
    return /export KUBECONFIG=(\S+)/.exec(said)?.[1] ?? false;
  }, START_MS);
  return { owner, kubeconfig };
}

async function stop(owner: ChildProcess): Promise<void> {
  if (owner.exitCode !== null || owner.signalCode !== null) return;
  owner.kill('SIGINT');
  await once(owner, 'exit');
}

afterEach(async () => {
  for (const owner of running.splice(0)) await stop(owner);
});

const slotOf = (kubeconfig: string) => /slot-(\d+)/.exec(kubeconfig)?.[1] ?? 'none';
const links = (slot: string) =>
  execFileSync('ip', ['-br', 'link'], { encoding: 'utf8' }).match(new RegExp(`^purser${slot}\\b.*`, 'gm')) ?? [];
const namespaces = (slot: string) => readdirSync('/run/netns').filter((name) => name.startsWith(`purser${slot}-`));
const descendants = (pid: number): ProcessIdentity[] => childrenOf(pid).flatMap((child) => [child, ...descendants(child.pid)]);

// Three more starts, on a machine that is at work.
describe.runIf(cluster.has('nodes'))('Test cluster: two of them on one machine', { timeout: 2 * START_MS }, () => {
  test('have nodes, names and addresses of their own, and leave nothing behind', async () => {
    const { owner, kubeconfig } = await startAnother();
    const other = await ClusterAccess.open(kubeconfig);
    expect((await other.api.list('/api/v1/nodes')).map(({ metadata }) => metadata.name)).toEqual(['node1']);
    expect((await cluster.api.list('/api/v1/nodes')).length).toBeGreaterThanOrEqual(2);
    await other.namespace('only-there');
    await expect(cluster.api.get('/api/v1/namespaces/only-there')).rejects.toThrow(/not found/);
    await other.api.close();
    await stop(owner);
    const slot = slotOf(kubeconfig);
    expect([existsSync(dirname(kubeconfig)), links(slot), namespaces(slot)]).toEqual([false, [], []]);
  });

  test('end with their owners, and the next one starts where a killed one was', async () => {
    const { owner, kubeconfig } = await startAnother();
    const programs = descendants(owner.pid!);
    expect(programs.length).toBeGreaterThan(8);
    owner.kill('SIGKILL');
    await eventually(() => !programs.some(isAlive), 20_000);
    expect(links(slotOf(kubeconfig))).not.toEqual([]);
    const next = await startAnother();
    expect(next.kubeconfig).toBe(kubeconfig);
    await stop(next.owner);
  });
});
