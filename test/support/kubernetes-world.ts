import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { KubernetesApi, type CallTimeouts } from '../../src/kubernetes/api/kubernetes-api.ts';
import type { KubernetesManifest } from '../../src/kubernetes/api/objects.ts';
import { startFaultProxy, type FaultProxy } from './fault-proxy.ts';

export const clock = { now: () => Date.now() };
export const random = { bytes: (count: number) => new Uint8Array(randomBytes(count)), fraction: () => Math.random() };

/** What a kubeconfig of the test clusters says (JSON, all inline). */
interface InlineKubeconfig {
  readonly clusters: readonly [{ readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string } }];
  readonly users: readonly [{ readonly user: { readonly token: string } }];
}

const inlineKubeconfig = (path: string): InlineKubeconfig => JSON.parse(readFileSync(path, 'utf8')) as InlineKubeconfig;

export const tokenOf = (kubeconfig: string): string => inlineKubeconfig(kubeconfig).users[0].user.token;

/** A fault proxy in front of the API server of a kubeconfig, and how to speak through it. */
export interface ProxiedApi {
  readonly proxy: FaultProxy;
  /** A kubeconfig of the proxy, in a file. */
  readonly kubeconfig: string;
  /** Puts another token into that file. */
  useToken(token: string): void;
  readonly api: KubernetesApi;
  /** Another client with the same credentials, which gives up sooner. */
  impatient(timeouts: Partial<CallTimeouts>): KubernetesApi;
  close(): Promise<void>;
}

export async function openProxiedApi(kubeconfig: string, timeouts: Partial<CallTimeouts> = {}): Promise<ProxiedApi> {
  const { cluster } = inlineKubeconfig(kubeconfig).clusters[0];
  const proxy = await startFaultProxy({ url: cluster.server, ca: Buffer.from(cluster['certificate-authority-data'], 'base64') });
  const file = join(mkdtempSync(join(tmpdir(), 'purser-proxied-')), 'kubeconfig');
  const useToken = (token: string): void => {
    writeFileSync(file, proxy.kubeconfig(token), { mode: 0o600 });
  };
  useToken(tokenOf(kubeconfig));
  const opened: KubernetesApi[] = [];
  const open = (limits: Partial<CallTimeouts>): KubernetesApi => {
    const api = KubernetesApi.of({ kind: 'kubeconfig_file', file, context: null }, { clock, random, timeouts: limits });
    opened.push(api);
    return api;
  };
  return {
    proxy,
    kubeconfig: file,
    useToken,
    api: open(timeouts),
    impatient: open,
    close: async () => {
      for (const api of opened) await api.close();
      await proxy.close();
    },
  };
}

export const configMap = (namespace: string, name: string, data: Readonly<Record<string, string>>): KubernetesManifest => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace, name },
  data,
});

/** A `Status` as an API server answers it. */
export const statusBody = (code: number, reason: string, message: string, details: object = {}): string =>
  JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details, code });
