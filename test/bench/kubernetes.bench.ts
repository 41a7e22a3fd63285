// 1,000 deployments × 3 pools with their pods on a bare API server (etcd and API server of this machine), watched by a process of its own
// with the product's adapters. Requests are counted in the server's audit log.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setInterval } from 'node:timers/promises';
import { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import { KubernetesCluster } from '../../src/kubernetes/kubernetes-cluster.adapter.ts';
import { nodeFlags } from '../../src/main/supervisor.ts';
import { startBareApiServer, type BareApiServer } from '../kubernetes/cluster/bare-api-server.ts';
import { clock, random } from '../support/kubernetes-world.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import type { BenchRow } from './bench-row.ts';
import { DEPLOYMENTS, each, makePods, settingsOf, workloads } from './kubernetes-objects.ts';
import type { Look } from './kubernetes-watcher.ts';

const INSTALLATION = 'bench';
/** Long enough for a resync of most caches. */
const QUIET_MS = 180_000;
/** How often the quiet cluster is observed, as by its loop. */
const LOOK_EVERY_MS = 5_000;
const CHANGES = 51;

export async function run(): Promise<readonly BenchRow[]> {
  const server = await startBareApiServer();
  try {
    const filled = await fill(server);
    const watched = await watch(server);
    return [...filled, ...watched];
  } finally {
    await server.stop();
  }
}

/** Through the adapter, as a rebuild does; then single changes. */
async function fill(server: BareApiServer): Promise<BenchRow[]> {
  const api = KubernetesApi.of({ kind: 'kubeconfig_file', file: server.kubeconfig, context: null }, { clock, random });
  const cluster = new KubernetesCluster({ api, clock, random, logger: quietLogger, ...settingsOf(INSTALLATION) });
  cluster.start();
  try {
    const specs = workloads();
    const began = performance.now();
    await each(specs, async (spec) => {
      const { outcome } = await cluster.apply(spec, { epoch: 1 });
      if (outcome !== 'applied') throw new Error(`${spec.path} was ${outcome}`);
    });
    const filledS = (performance.now() - began) / 1000;
    const times: number[] = [];
    for (const spec of specs.slice(0, CHANGES)) {
      const from = performance.now();
      await cluster.apply({ ...spec, generation: 2, replicas: 2 }, { epoch: 1 });
      times.push(performance.now() - from);
    }
    await makePods(api, INSTALLATION);
    return [
      { name: `${specs.length} workloads made on an empty cluster`, value: filledS.toFixed(1), unit: 's' },
      { name: `one change applied (median of ${CHANGES})`, value: median(times).toFixed(0), unit: 'ms', goal: '≤ 100' },
    ];
  } finally {
    await cluster.stop();
    await api.close();
  }
}

async function watch(server: BareApiServer): Promise<BenchRow[]> {
  const watcher = fork(join(import.meta.dirname, 'kubernetes-watcher.js'), [server.kubeconfig, INSTALLATION], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // As the control plane is started.
    execArgv: [...nodeFlags('serve')],
  });
  try {
    const first = await answer(watcher);
    if (first.workloads !== DEPLOYMENTS * 3) throw new Error(`${first.workloads} workloads were seen`);
    const since = Date.now();
    const looks: Look[] = [];
    for await (const _ of setInterval(LOOK_EVERY_MS)) {
      watcher.send('look');
      looks.push(await answer(watcher));
      if (Date.now() - since >= QUIET_MS) break;
    }
    const asked = server.auditLog(since).filter(({ userAgent }) => userAgent === 'purser');
    const writes = asked.filter(({ verb }) => !['get', 'list', 'watch'].includes(verb));
    const seconds = (Date.now() - since) / 1000;
    const last = looks.at(-1) ?? first;
    return [
      {
        name: `full sync of ${first.workloads} workloads, ${first.replicas} replicas`,
        value: (first.tookMs / 1000).toFixed(1),
        unit: 's',
        goal: '≤ 10',
      },
      { name: 'quiet, requests', value: (asked.length / seconds).toFixed(2), unit: '/s', goal: '≤ 1' },
      { name: 'quiet, writes', value: writes.length, unit: '', goal: '0' },
      { name: 'quiet, one observation (median)', value: median(looks.map(({ tookMs }) => tookMs)).toFixed(0), unit: 'ms' },
      { name: 'quiet, CPU', value: ((last.cpuMs - first.cpuMs) / 10 / seconds).toFixed(1), unit: '% of a core' },
      { name: 'watching process, RSS', value: last.rssMib, unit: 'MiB', goal: '≤ 400' },
      { name: 'watching process, RSS at its highest', value: last.peakRssMib, unit: 'MiB' },
    ];
  } finally {
    watcher.kill();
    if (watcher.exitCode === null && watcher.signalCode === null) await once(watcher, 'exit');
  }
}

async function answer(watcher: ChildProcess): Promise<Look> {
  // Whichever is not heard is listened for no more.
  const heard = new AbortController();
  const { signal } = heard;
  try {
    const [look] = (await Promise.race([
      once(watcher, 'message', { signal }),
      once(watcher, 'exit', { signal }).then(([code]) =>
        Promise.reject(new Error(`the watching process ended with ${String(code)}`)),
      ),
    ])) as [Look];
    return look;
  } finally {
    heard.abort();
  }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
