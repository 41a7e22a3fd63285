// Kubeconfig files that hold all they need, so that they may be copied anywhere.
import { readFileSync, writeFileSync } from 'node:fs';
import { KubeConfig } from '@kubernetes/client-node';

export interface Credentials {
  readonly server: string;
  /** The authority's certificate, PEM. */
  readonly authority: string;
  readonly token: string;
}

/** JSON is YAML. */
export function kubeconfigText({ server, authority, token }: Credentials): string {
  const cluster = { server, 'certificate-authority-data': Buffer.from(authority).toString('base64') };
  return JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [{ name: 'test', cluster }],
      users: [{ name: 'test', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    },
    null,
    2,
  );
}

export function writeKubeconfig(path: string, credentials: Credentials): string {
  writeFileSync(path, kubeconfigText(credentials), { mode: 0o600 });
  return path;
}

/** The same cluster for somebody else. */
export function withToken(kubeconfig: string, token: string): string {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error(`${kubeconfig} names no cluster`);
  const { server, caData, caFile } = cluster;
  const authority = caFile === undefined ? Buffer.from(caData ?? '', 'base64').toString() : readFileSync(caFile, 'utf8');
  return kubeconfigText({ server, authority, token });
}
