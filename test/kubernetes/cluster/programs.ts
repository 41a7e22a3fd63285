// The two Go programs: `kube` (all of Kubernetes and etcd in one file) and `container` (what runs in the test images).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached, digestOf, harnessSources } from './cache.ts';
import { findProgram, log, run } from './machine.ts';

const KUBE_SOURCES = join(harnessSources, 'go');
const CONTAINER_SOURCES = join(harnessSources, 'container');

/** Kubernetes' own version, as go.mod names it. */
export function kubernetesVersion(): string {
  const version = /k8s\.io\/kubernetes (v[\d.]+)/.exec(readFileSync(join(KUBE_SOURCES, 'go.mod'), 'utf8'))?.[1];
  if (version === undefined) throw new Error('go.mod requires no k8s.io/kubernetes');
  return version;
}

/** Four to ten minutes on a machine that has never built it, then nothing. */
export async function kubeProgram(): Promise<string> {
  const folder = await cached(`kube-${digestOf(KUBE_SOURCES, process.arch)}`, async (target) => {
    log(`building Kubernetes ${kubernetesVersion()} and etcd from their Go modules (once; five minutes on two cores) …`);
    const version = kubernetesVersion();
    const [, minor = ''] = version.split('.');
    const set = Object.entries({ gitVersion: version, gitMajor: '1', gitMinor: minor, gitTreeState: 'clean' })
      .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
      .join(' ');
    await goBuild(KUBE_SOURCES, join(target, 'kube'), `-s -w ${set}`);
  });
  return join(folder, 'kube');
}

/** Statically linked: an image needs nothing else. */
export async function containerProgram(): Promise<string> {
  const folder = await cached(`container-${digestOf(CONTAINER_SOURCES, process.arch)}`, async (target) =>
    goBuild(CONTAINER_SOURCES, join(target, 'container'), '-s -w'),
  );
  return join(folder, 'container');
}

async function goBuild(sources: string, target: string, flags: string): Promise<void> {
  const go = findProgram('go');
  if (go === undefined)
    throw new Error('The test cluster is built with Go 1.24 or newer: install it (Debian: golang), or set KUBECONFIG.');
  await run([go, 'build', '-trimpath', '-ldflags', flags, '-o', target, '.'], {
    cwd: sources,
    env: { CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-buildvcs=false -mod=readonly' },
  });
}
