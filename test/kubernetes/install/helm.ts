// Helm, built once per machine from its Go module, like the cluster itself.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached, digestOf, repository } from '../cluster/cache.ts';
import { findProgram, log, run } from '../cluster/machine.ts';
import { kubernetesVersion } from '../cluster/programs.ts';

const SOURCES = join(import.meta.dirname, 'helm');
export const CHART = join(repository, 'deploy', 'helm', 'purser');

/** Gives what Helm prints; throws with what it says. With a kubeconfig it speaks to that cluster. */
export async function helm(
  args: readonly string[],
  options: { readonly kubeconfig?: string; readonly input?: string } = {},
): Promise<string> {
  const { kubeconfig, input } = options;
  const environment = kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig };
  // Nothing of the user's own is read or left behind.
  const folders = Object.fromEntries(['CACHE', 'CONFIG', 'DATA'].map((name) => [`HELM_${name}_HOME`, '/nonexistent']));
  return run([await helmProgram(), ...args], { env: { ...folders, ...environment }, ...(input === undefined ? {} : { input }) });
}

/** A minute on a machine that has built the cluster and never this. */
async function helmProgram(): Promise<string> {
  const [, version = ''] = /helm\.sh\/helm\/v3 (v[\d.]+)/.exec(readFileSync(join(SOURCES, 'go.mod'), 'utf8')) ?? [];
  const folder = await cached(`helm-${digestOf(SOURCES, process.arch, kubernetesVersion())}`, async (target) => {
    const go = findProgram('go');
    if (go === undefined) throw new Error('Helm is built with Go 1.24 or newer: install it (Debian: golang).');
    log(`building Helm ${version} from its Go module (once) …`);
    const [major = '', minor = ''] = kubernetesVersion().slice(1).split('.');
    const kubernetes = ['pkg/lint/rules', 'pkg/chartutil'].flatMap((name) => [
      [`${name}.k8sVersionMajor`, major],
      [`${name}.k8sVersionMinor`, minor],
    ]);
    const set = [['internal/version.version', version], ...kubernetes].map(
      ([name, value]) => `-X helm.sh/helm/v3/${name}=${value}`,
    );
    const flags = ['-mod=readonly', '-trimpath', '-ldflags', `-s -w ${set.join(' ')}`, '-o', join(target, 'helm')];
    const env = { CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-buildvcs=false' };
    await run([go, 'build', ...flags, 'helm.sh/helm/v3/cmd/helm'], { cwd: SOURCES, env });
  });
  return join(folder, 'helm');
}

/** What a value of the chart is, by its path. */
export type Values = Readonly<Record<string, string | number | boolean>>;

/** Least that the chart wants to know. */
export const NEEDED: Values = {
  'database.existingSecret': 'purser-database',
  'tokens.existingSecret': 'purser-tokens',
  's3.bucket': 'purser',
};

export const setting = (values: Values): string[] =>
  Object.entries(values).flatMap(([name, value]) => [
    typeof value === 'string' ? '--set-string' : '--set',
    `${name}=${String(value)}`,
  ]);

export const render = (values: Values, more: readonly string[] = []): Promise<string> =>
  helm(['template', 'purser', CHART, '--namespace', 'purser-system', ...setting(values), ...more]);
