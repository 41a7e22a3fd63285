// How the client signs in: kubeconfigs in a temporary folder, a server on a loopback port that writes down who asks.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ClusterAccess } from '../../src/kubernetes/api/credentials.ts';
import { KubernetesUnreachable } from '../../src/kubernetes/api/errors.ts';
import { KubernetesApi } from '../../src/kubernetes/api/kubernetes-api.ts';
import { random, statusBody } from '../support/kubernetes-world.ts';

const certificate = readFileSync(join(import.meta.dirname, '..', 'support', 'certificate', 'cert.pem'));
const key = readFileSync(join(import.meta.dirname, '..', 'support', 'certificate', 'key.pem'));

let folder: string;
let server: Server;
let url: string;
/** Tokens (`Bearer …`) that are refused. */
const refused = new Set<string>();
const seen: { authorization: string; agent: string; subject: string; impersonated: string }[] = [];
const apis: KubernetesApi[] = [];
let now = 1_000_000;

const answer = (incoming: IncomingMessage): { status: number; body: string } => {
  const authorization = incoming.headers.authorization ?? '';
  const peer = incoming.socket as Partial<TLSSocket>;
  const subject = peer.getPeerCertificate?.().subject as { CN?: string } | undefined;
  seen.push({
    authorization,
    agent: incoming.headers['user-agent'] ?? '',
    subject: subject?.CN ?? '',
    impersonated: String(incoming.headers['impersonate-user'] ?? ''),
  });
  return refused.has(authorization)
    ? { status: 401, body: statusBody(401, 'Unauthorized', 'Unauthorized') }
    : { status: 200, body: '{}' };
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'purser-credentials-'));
  refused.clear();
  seen.length = 0;
  server = createServer((incoming, outgoing) => {
    const { status, body } = answer(incoming);
    outgoing.writeHead(status).end(body);
  });
  url = await listening(server, 'http');
});
afterEach(async () => {
  for (const api of apis.splice(0)) await api.close();
  server.close();
  await once(server, 'close');
  rmSync(folder, { recursive: true });
});

async function listening(listener: Server, scheme: string): Promise<string> {
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return `${scheme}://127.0.0.1:${(listener.address() as AddressInfo).port}`;
}

const kubeconfig = (user: object, cluster: object = { server: url, 'insecure-skip-tls-verify': true }): string =>
  JSON.stringify({
    'current-context': 'c',
    clusters: [{ name: 'c', cluster }],
    users: [
      { name: 'u', user },
      { name: 'other', user: { token: 'of-another' } },
    ],
    contexts: [
      { name: 'c', context: { cluster: 'c', user: 'u' } },
      { name: 'd', context: { cluster: 'c', user: 'other' } },
    ],
  });
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const open = (access: ClusterAccess): KubernetesApi => {
  const api = KubernetesApi.of(access, { clock: { now: () => now }, random });
  apis.push(api);
  return api;
};
const fromFile = (text: string, context: string | null = null): KubernetesApi =>
  open({ kind: 'kubeconfig_file', file: file('config', text), context });
const tokens = (): string[] => seen.map(({ authorization }) => authorization);

describe('Several clusters: the client signs in', () => {
  it('with a token, under its own name, for the context that is asked for', async () => {
    await fromFile(kubeconfig({ token: 'one' })).json('/version');
    await fromFile(kubeconfig({ token: 'one' }), 'd').json('/version');
    expect(seen).toMatchObject([{ authorization: 'Bearer one', agent: 'purser' }, { authorization: 'Bearer of-another' }]);
  });

  it('with user and password, and for somebody else', async () => {
    await fromFile(kubeconfig({ username: 'u', password: 'p', as: 'deputy' })).json('/version');
    expect(seen).toMatchObject([{ authorization: `Basic ${btoa('u:p')}`, impersonated: 'deputy' }]);
  });

  it('with a token file beside the kubeconfig, read again when it is old and at once when it is refused', async () => {
    file('token', 'one\n');
    const api = fromFile(kubeconfig({ tokenFile: 'token' }));
    await api.json('/version');
    file('token', 'two\n');
    await api.json('/version');
    refused.add('Bearer one');
    await api.json('/version');
    expect(tokens()).toEqual(['Bearer one', 'Bearer one', 'Bearer one', 'Bearer two']);
  });

  it('with another kubeconfig in the same file once the old one is refused', async () => {
    const api = fromFile(kubeconfig({ token: 'one' }));
    await api.json('/version');
    file('config', kubeconfig({ token: 'two' }));
    refused.add('Bearer one');
    await Promise.all([api.json('/version'), api.json('/version'), api.json('/version')]);
    expect(tokens().filter((token) => token === 'Bearer two')).toHaveLength(3);
  });

  it('with what a program prints, asked again only when that is refused', async () => {
    const runs = join(folder, 'runs');
    const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: 'run-N' } };
    const program = file(
      'sign-in',
      `#!/bin/sh\necho run >> ${runs}\nn=$(wc -l < ${runs})\necho '${JSON.stringify(credential)}' | sed "s/N/$n/"\n`,
    );
    chmodSync(program, 0o700);
    const api = fromFile(kubeconfig({ exec: { apiVersion: 'client.authentication.k8s.io/v1', command: program } }));
    await Promise.all([api.json('/version'), api.json('/version')]);
    now += 60_000;
    await api.json('/version');
    expect(tokens()).toEqual(['Bearer run-1', 'Bearer run-1', 'Bearer run-1']);
    refused.add('Bearer run-1');
    await api.json('/version');
    expect(tokens().at(-1)).toBe('Bearer run-2');
  });

  it('to the server that the file names now, when the old one is not there any more', async () => {
    const nowhere = kubeconfig({ token: 'one' }, { server: 'http://127.0.0.1:9', 'insecure-skip-tls-verify': true });
    const api = fromFile(nowhere);
    await expect(api.json('/version')).rejects.toThrow(expect.objectContaining({ kind: 'connection' }));
    file('config', kubeconfig({ token: 'two' }));
    now += 10_000;
    await api.json('/version');
    expect(tokens()).toEqual(['Bearer two']);
  });

  it('once more and not for ever', async () => {
    refused.add('Bearer one');
    await expect(fromFile(kubeconfig({ token: 'one' })).json('/version')).rejects.toThrow(
      expect.objectContaining({ status: 401 }),
    );
    expect(seen).toHaveLength(2);
  });

  it('with a client certificate, to the server of the authority that the kubeconfig names only', async () => {
    const tls = createTlsServer(
      { cert: certificate, key, ca: certificate, requestCert: true, rejectUnauthorized: true },
      (incoming, outgoing) => {
        outgoing.end(answer(incoming).body);
      },
    );
    const address = await listening(tls, 'https');
    try {
      const data = certificate.toString('base64');
      const user = { 'client-certificate-data': data, 'client-key-data': key.toString('base64') };
      const cluster = { server: address, 'tls-server-name': 'localhost' };
      await open({
        kind: 'kubeconfig_text',
        text: kubeconfig(user, { ...cluster, 'certificate-authority-data': data }),
        context: null,
      }).json('/version');
      expect(seen.map(({ subject }) => subject)).toEqual(['purser test link']);
      await expect(fromFile(kubeconfig(user, cluster)).json('/version')).rejects.toThrow(KubernetesUnreachable);
      expect(seen).toHaveLength(1);
    } finally {
      tls.closeAllConnections();
      tls.close();
    }
  });
});

describe('Several clusters: the client has nothing to sign in with', () => {
  const rows: [string, () => KubernetesApi, RegExp][] = [
    ['no file', () => open({ kind: 'kubeconfig_file', file: join(folder, 'absent'), context: null }), /no such file/],
    ['no YAML', () => fromFile('{'), /no credentials/],
    ['another document', () => fromFile('[]'), /names no cluster/],
    ['no such context', () => fromFile(kubeconfig({ token: 'one' }), 'nowhere'), /names no cluster and user/],
    ['a program that fails', () => fromFile(kubeconfig({ exec: { command: 'false' } })), /no credentials/],
    ['no token file', () => fromFile(kubeconfig({ tokenFile: 'absent' })), /no such file/],
  ];
  for (const [name, api, message] of rows)
    it(`${name}: the cluster is unreachable, with the reason`, async () => {
      const error = (await api()
        .json('/version')
        .catch((reason: unknown) => reason)) as KubernetesUnreachable;
      expect(error).toBeInstanceOf(KubernetesUnreachable);
      expect([error.kind, message.test(error.message), seen.length]).toEqual(['credentials', true, 0]);
    });

  it('until it is there', async () => {
    const api = open({ kind: 'kubeconfig_file', file: join(folder, 'config'), context: null });
    await expect(api.json('/version')).rejects.toThrow(KubernetesUnreachable);
    file('config', kubeconfig({ token: 'one' }));
    await api.json('/version');
    expect(tokens()).toEqual(['Bearer one']);
  });
});

describe('Several clusters: a kubeconfig that came from elsewhere', () => {
  const secret = (): string => file('secret', 'of this machine');
  const rows: [string, () => string][] = [
    ['a program', () => kubeconfig({ exec: { command: join(folder, 'run') } })],
    ['an auth provider', () => kubeconfig({ 'auth-provider': { name: 'gcp', config: { 'cmd-path': join(folder, 'run') } } })],
    ['a token file', () => kubeconfig({ tokenFile: secret() })],
    ['a token file by the other name', () => kubeconfig({ 'token-file': secret() })],
    ['a key file', () => kubeconfig({ 'client-certificate': secret(), 'client-key': secret() })],
    ['an authority file', () => kubeconfig({ token: 'one' }, { server: url, 'certificate-authority': secret() })],
  ];
  for (const [name, text] of rows)
    it(`may not name ${name}`, async () => {
      chmodSync(file('run', `#!/bin/sh\ntouch ${join(folder, 'ran')}\n`), 0o700);
      await expect(open({ kind: 'kubeconfig_text', text: text(), context: null }).json('/version')).rejects.toThrow(
        /may not contain/,
      );
      expect([seen, existsSync(join(folder, 'ran'))]).toEqual([[], false]);
    });

  it('may carry a token', async () => {
    await open({ kind: 'kubeconfig_text', text: kubeconfig({ token: 'one' }), context: null }).json('/version');
    expect(tokens()).toEqual(['Bearer one']);
  });
});
