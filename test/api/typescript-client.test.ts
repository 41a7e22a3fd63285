// The TypeScript client against the real API through a proxy that breaks: uploads that go on, streams, refusals and outages apart.
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { artifactFile } from '../../clients/typescript/artifact-file.ts';
import { PurserRefusal, PurserUnavailable } from '../../clients/typescript/errors.ts';
import { PurserClient } from '../../clients/typescript/purser-client.ts';
import { packageRoot as root } from '../../src/main/package-root.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { startBreakableProxy, type BreakableProxy } from '../support/breakable-proxy.ts';
import { builtNode, ensureBuilt } from '../support/build.ts';

/** Large enough that several writes to the socket carry it. */
const SIZE = 8 * 1024 * 1024;

let api: TestApi;
let proxy: BreakableProxy;
let folder: string;

beforeAll(async () => {
  api = await startApi();
  proxy = await startBreakableProxy(api.url);
  folder = mkdtempSync(join(tmpdir(), 'purser-client-'));
  await api.gql('mutation { createTeam(input: { name: "crew" }) { team { id } } }');
  await api.gql('mutation { createProject(input: { team: { path: "crew" }, name: "deck" }) { project { id } } }');
});
afterAll(async () => {
  await proxy.goAway();
  await api.close();
  rmSync(folder, { recursive: true, force: true });
});

const connect = (token = api.adminToken) => new PurserClient({ url: proxy.url, token });
const document = (text: string) => ({ toString: () => text });

describe('TypeScript client: artifacts', () => {
  test('an upload that is cut goes on where the server has it, and the whole arrives', async () => {
    const bytes = randomBytes(SIZE);
    const path = join(folder, 'large');
    writeFileSync(path, bytes);
    const artifact = await artifactFile(path);
    expect(artifact.digest).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
    const before = proxy.sentBytes();
    proxy.cutOnceAfter(SIZE / 2);
    await connect().uploadArtifact('crew/deck', artifact);
    // Sent twice as a whole would be 1.5 times its size at least.
    expect(proxy.sentBytes() - before).toBeLessThan(SIZE * 1.4);
    const stored = await fetch(`${api.url}/projects/crew/deck/artifacts/${artifact.digest}`, {
      headers: { authorization: `Bearer ${api.adminToken}` },
    });
    expect(Buffer.from(await stored.arrayBuffer()).equals(bytes)).toBe(true);
  });

  test('what the project has is not sent again', async () => {
    const artifact = await artifactFile(join(folder, 'large'));
    const before = proxy.sentBytes();
    await connect().uploadArtifact('crew/deck', artifact);
    expect(proxy.sentBytes() - before).toBeLessThan(2_000);
  });

  test('another digest than the bytes have is refused with its code', async () => {
    writeFileSync(join(folder, 'small'), 'abc');
    const artifact = { ...(await artifactFile(join(folder, 'small'))), digest: `sha256:${'0'.repeat(64)}` };
    await expect(connect().uploadArtifact('crew/deck', artifact)).rejects.toMatchObject({
      name: 'PurserRefusal',
      code: 'DIGEST_MISMATCH',
    });
  });

  test('a project that is not there is refused', async () => {
    const artifact = await artifactFile(join(folder, 'small'));
    await expect(connect().uploadArtifact('crew/nowhere', artifact)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('TypeScript client: refusals and outages apart', () => {
  test('a document that is wrong and a token that is unknown are refusals', async () => {
    await expect(connect().request(document('{ nothing }'), {})).rejects.toMatchObject({
      name: 'PurserRefusal',
      code: 'GRAPHQL_VALIDATION_FAILED',
    });
    await expect(connect('purser_admin_wrong').request(document('{ viewer { actions } }'), {})).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    });
  });

  test('a stream that is refused says why and is not tried again', async () => {
    const { signal } = new AbortController();
    const following = connect().follow(document('subscription { nothing }'), {}, { cursorOf: () => '', signal });
    await expect(following.next()).rejects.toThrow(PurserRefusal);
  });

  test('nobody there is an outage', async () => {
    const client = new PurserClient({ url: 'http://127.0.0.1:9', token: 'x' });
    await expect(client.request(document('{ viewer { actions } }'), {})).rejects.toThrow(PurserUnavailable);
    await expect(client.infer('http://127.0.0.1:9/a/b/c', { route: 'v2', body: '' })).rejects.toThrow(PurserUnavailable);
  });
});

describe('TypeScript client: clients/typescript/README.md', () => {
  test('its example is a plain script that works', async () => {
    await ensureBuilt();
    const page = readFileSync(join(root, 'clients', 'typescript', 'README.md'), 'utf8');
    const [, script = ''] = /```js\n([^]*?)```/.exec(page) ?? [];
    const { stdout, stderr } = await promisify(execFile)(builtNode, ['--input-type=module', '-e', script], {
      cwd: root,
      env: { ...process.env, PURSER_URL: api.url, PURSER_TOKEN: api.adminToken },
    });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^admin sees 0 deployments\n/);
    expect(stdout).toMatch(/^\S+Z Project crew\/deck was created\.$/m);
    expect(stdout).toMatch(/\nnothing new\n$/);
  });
});
