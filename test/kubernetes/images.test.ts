// Tests the images that the harness writes without a container engine: what is in the archive, and that a cluster runs them.
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { folderImage } from './cluster/images.ts';
import { writeImage, type BuiltImage } from './cluster/oci-image.ts';
import { folderEntries } from './cluster/tar.ts';
import { theCluster } from './cluster/testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'purser-images-'));
const LONG = `${'a-rather-long-name-of-a-folder/'.repeat(5)}file.txt`;

beforeAll(() => {
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'a-rather-long-name-of-a-folder/'.repeat(5)), { recursive: true });
  writeFileSync(join(tree, LONG), 'deep down');
  writeFileSync(join(tree, 'run.sh'), '#!/bin/sh\n', { mode: 0o700 });
  writeFileSync(join(tree, 'größe.txt'), 'x'.repeat(1000));
  symlinkSync('run.sh', join(tree, 'link'));
  const serving = `
    import { lookup } from 'node:dns/promises';
    import { createServer } from 'node:http';
    const api = (await lookup('kubernetes.default.svc')).address === process.env.KUBERNETES_SERVICE_HOST;
    const answer = { version: process.version, user: process.getuid(), folder: process.cwd(), namesResolve: api };
    createServer((_, response) => response.end(JSON.stringify(answer))).listen(8080);`;
  writeFileSync(join(tree, 'main.mjs'), serving);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (archive: string) =>
  writeImage(
    'purser.test/tree:1',
    {
      layers: [folderEntries(join(folder, 'tree'), 'app')],
      entrypoint: ['/app/run.sh'],
      env: { A: 'b' },
      ports: [80],
      user: '1',
    },
    join(folder, archive),
  );

const unpack = (archive: string, name: string) => {
  const target = join(folder, name);
  mkdirSync(target);
  execFileSync('tar', ['-xf', archive, '-C', target]);
  return target;
};

const json = <T>(path: string) => JSON.parse(readFileSync(path, 'utf8')) as T;

interface Described {
  readonly digest: string;
  readonly size: number;
}

describe('Test cluster: an image without an engine', () => {
  test('is an OCI layout whose digests are those of its parts', () => {
    const image = write('layout.tar');
    const layout = unpack(image.archive, 'layout');
    const blob = (digest: string) => readFileSync(join(layout, 'blobs', ...digest.split(':')));
    const index = json<{ manifests: Described[] }>(join(layout, 'index.json'));
    expect(index.manifests.map(({ digest }) => digest)).toEqual([image.digest]);
    const manifest = JSON.parse(blob(image.digest).toString()) as { config: Described; layers: Described[] };
    for (const { digest, size } of [...index.manifests, manifest.config, ...manifest.layers]) {
      expect(`sha256:${createHash('sha256').update(blob(digest)).digest('hex')}`).toBe(digest);
      expect(blob(digest).length).toBe(size);
    }
    expect(JSON.parse(blob(manifest.config.digest).toString())).toMatchObject({
      os: 'linux',
      config: { Entrypoint: ['/app/run.sh'], User: '1', ExposedPorts: { '80/tcp': {} } },
      rootfs: { diff_ids: manifest.layers.map(({ digest }) => digest) },
    });
  });

  test('keeps names, links and what may be run', () => {
    const layout = unpack(write('content.tar').archive, 'content');
    const index = json<{ manifests: Described[] }>(join(layout, 'index.json'));
    const at = (digest = '') => join(layout, 'blobs', ...digest.split(':'));
    const { layers } = json<{ layers: Described[] }>(at(index.manifests[0]?.digest));
    const root = unpack(at(layers[0]?.digest), 'root');
    expect(readFileSync(join(root, 'app', LONG), 'utf8')).toBe('deep down');
    expect(readFileSync(join(root, 'app', 'größe.txt'), 'utf8')).toHaveLength(1000);
    expect(execFileSync('stat', ['-c', '%a %F', 'run.sh', 'link'], { cwd: join(root, 'app'), encoding: 'utf8' })).toBe(
      '755 regular file\n777 symbolic link\n',
    );
  });

  test('is the same for the same content', () => {
    const { digest } = write('one.tar');
    expect(write('other.tar').digest).toBe(digest);
    writeFileSync(join(folder, 'tree', 'new'), '');
    expect(write('changed.tar').digest).not.toBe(digest);
  });
});

const cluster = await theCluster();

describe.runIf(cluster.has('nodes'))("Test cluster: a folder with the project's Node as an image", () => {
  const NAMESPACE = `images-${process.pid}`;
  let image: BuiltImage;

  beforeAll(async () => {
    await cluster.namespace(NAMESPACE, { 'pod-security.kubernetes.io/enforce': 'restricted' });
    const options = { name: `purser.test/tree-${process.pid}:1`, folder: join(folder, 'tree'), entry: 'main.mjs' };
    image = await folderImage({ ...options, archive: join(folder, 'node.tar') });
    await cluster.control.importImage(image);
  });

  afterAll(async () => {
    await cluster.deleteNamespace(NAMESPACE);
    await cluster.api.close();
  });

  test('runs on the cluster by its digest, unprivileged and without writing to its disk', async () => {
    await cluster.api.create(`/api/v1/namespaces/${NAMESPACE}/pods`, {
      metadata: { name: 'node' },
      spec: {
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'node',
            image: `${image.name.replace(/:1$/, '')}@${image.digest}`,
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
          },
        ],
      },
    });
    await eventually(async () => {
      const { status } = await cluster.api.get(`/api/v1/namespaces/${NAMESPACE}/pods/node`);
      const answer = await request(`http://${String(status?.['podIP'])}:8080/`, { headersTimeout: 2_000 });
      expect(await answer.body.json()).toEqual({ version: process.version, user: 65532, folder: '/app', namesResolve: true });
    }, 60_000);
  });
});
