// Artifact bytes over real HTTP: what a client is told when the digest is wrong, the line is cut, the disk is full or it may not.
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { request, type ClientRequest } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../src/kernel/digest.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { canMount, mountSmallDisk } from '../support/small-disk.ts';

let api: TestApi;
let operator: string;

beforeAll(async () => {
  api = await startApi();
  operator = (await api.tokenFor('operator', 'crew')).token;
  await api.gql('mutation { createProject(input: { team: { path: "crew" }, name: "deck" }) { userErrors { code } } }');
});
afterAll(() => api.close());

const urlOf = (bytes: Uint8Array, digest = digestOf(bytes)) => `${api.url}/projects/crew/deck/artifacts/${digest}`;
const put = (url: string, bytes: Uint8Array, headers: Record<string, string> = {}, token = operator) =>
  fetch(url, { method: 'PUT', body: Buffer.from(bytes), headers: { authorization: `Bearer ${token}`, ...headers } });
const get = (url: string, token = operator, method = 'GET') =>
  fetch(url, { method, headers: { authorization: `Bearer ${token}` } });
const told = async (answer: Response) => [answer.status, ((await answer.json()) as { code: string }).code];
const blobs = () =>
  readdirSync(join(api.dataDir, 'artifacts'), { recursive: true })
    .map(String)
    .filter((name) => name.includes('/'));

const keptBytes = () =>
  blobs().reduce((sum, name) => sum + (statSync(join(api.dataDir, 'artifacts', name), { throwIfNoEntry: false })?.size ?? 0), 0);

/** Sends the head of an upload and some of its bytes, and keeps the line open. */
function begin(url: string, sizeBytes: number, first: Uint8Array): Promise<ClientRequest> {
  return new Promise((resolve) => {
    const upload = request(url, { method: 'PUT', headers: { authorization: `Bearer ${operator}`, 'content-length': sizeBytes } });
    upload.on('error', () => undefined);
    upload.write(first, () => resolve(upload));
  });
}

describe('API: artifact uploads', () => {
  test('whole, again, and read back', async () => {
    const bytes = Buffer.from('weights '.repeat(1000));
    expect((await put(urlOf(bytes), bytes)).status).toBe(201);
    expect((await put(urlOf(bytes), bytes)).status).toBe(201);
    expect(Buffer.from(await (await get(urlOf(bytes))).arrayBuffer()).equals(bytes)).toBe(true);
  });

  test('a wrong digest is a 422 and leaves nothing; what is no digest and a body without length are refused', async () => {
    const bytes = Buffer.from('not what was promised');
    const before = blobs();
    const url = urlOf(bytes, digestOf('something else'));
    expect(await told(await put(url, bytes))).toEqual([422, 'DIGEST_MISMATCH']);
    expect((await get(url, operator, 'HEAD')).status).toBe(404);
    expect(blobs()).toEqual(before);
    expect(await told(await put(`${api.url}/projects/crew/deck/artifacts/sha256:1`, bytes))).toEqual([400, 'INVALID_INPUT']);
    const streamed = new ReadableStream({
      start: (controller) => {
        controller.enqueue(new Uint8Array(bytes));
        controller.close();
      },
    });
    const options = { method: 'PUT', body: streamed, duplex: 'half', headers: { authorization: `Bearer ${operator}` } };
    expect(await told(await fetch(urlOf(bytes), options as RequestInit))).toEqual([411, 'INVALID_INPUT']);
  });

  test('a cut upload tells how far it is, refuses a wrong place, and goes on at the right one', async () => {
    const bytes = Buffer.from('0123456789'.repeat(20_000));
    const url = urlOf(bytes);
    const upload = await begin(url, bytes.length, bytes.subarray(0, 70_000));
    await eventually(async () => (await get(url, operator, 'HEAD')).headers.get('upload-offset') === '70000');
    expect(await told(await put(url, bytes))).toEqual([409, 'IN_PROGRESS']);
    upload.destroy();
    const range = (from: number) => ({ 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` });
    await eventually(async () => (await told(await put(url, bytes.subarray(5), range(5))))[1] === 'CONFLICT');
    const head = await get(url, operator, 'HEAD');
    expect([head.status, head.headers.get('upload-offset'), head.headers.get('upload-length')]).toEqual([202, '70000', '200000']);
    expect((await get(url)).status).toBe(404);
    expect((await put(url, bytes.subarray(70_000), range(70_000))).status).toBe(201);
    expect((await get(url)).headers.get('content-length')).toBe('200000');
  });

  test('a body that is longer than it said takes no more room than it said, however long it goes on', async () => {
    const [promised, sent] = [10, 32 * 1024 * 1024];
    const headers = {
      authorization: `Bearer ${operator}`,
      'content-range': `bytes 0-9/${promised}`,
      'transfer-encoding': 'chunked',
    };
    const upload = request(urlOf(Buffer.from('0123456789 and on')), { method: 'PUT', headers });
    const answered = new Promise<number>((resolve) => upload.once('response', (answer) => resolve(answer.statusCode ?? 0)));
    await new Promise<void>((resolve) => upload.write(Buffer.alloc(sent, 7), () => resolve()));
    expect(keptBytes()).toBeLessThan(sent / 4);
    upload.end();
    expect(await answered).toBe(422);
  });

  test('an upload goes on with the size that it was begun with, so that what is kept is what the quota counts', async () => {
    await api.gql('mutation { createProject(input: { team: { path: "crew" }, name: "hold" }) { userErrors { code } } }');
    const limit = 'team: { path: "crew" }, project: { path: "crew/hold" }, resource: ARTIFACT_BYTES, maximum: "2000"';
    await api.gql(`mutation { setQuota(input: { ${limit} }) { userErrors { code } } }`);
    const url = (text: string) => urlOf(Buffer.from(text)).replace('/deck/', '/hold/');
    const part = { 'content-range': 'bytes 0-1499/1900' };
    expect((await put(url('first'), Buffer.alloc(1500), part)).status).toBe(202);
    expect(await told(await put(url('first'), Buffer.alloc(0), { 'content-range': 'bytes 1-1/1' }))).toEqual([409, 'CONFLICT']);
    expect(await told(await put(url('second'), Buffer.alloc(1500), part))).toEqual([413, 'QUOTA_EXCEEDED']);
  });

  test('a path that can name nothing is not there, whatever bytes it has', async () => {
    const odd = [
      'crew/deck/artifacts/%00',
      'crew/%00/artifacts/sha256:1',
      '%00/deck/artifacts/sha256:1',
      'crew/deck/artifacts/..%2f..',
    ];
    for (const path of odd) {
      expect((await get(`${api.url}/projects/${path}`)).status).toBe(404);
      expect((await get(`${api.url}/projects/${path}`, operator, 'HEAD')).status).toBe(404);
      expect((await put(`${api.url}/projects/${path}`, Buffer.from('x'))).status).toBeLessThan(500);
    }
  });

  test('a project of another team, one that is not there and an artifact that is not there are one and the same', async () => {
    const bytes = Buffer.from('of the crew');
    expect((await put(urlOf(bytes), bytes)).status).toBe(201);
    const { token } = await api.tokenFor('team_admin', 'others');
    const absent = urlOf(Buffer.from('x')).replace('crew/deck', 'nobody/nothing');
    const answersTo = async (url: string, as: string) =>
      Promise.all(
        [await get(url, as), await put(url, bytes, {}, as), await get(url, as, 'HEAD')].map(async (one) => [
          one.status,
          await one.text(),
        ]),
      );
    const foreign = await answersTo(urlOf(bytes), token);
    expect(foreign.map(([status]) => status)).toEqual([404, 404, 404]);
    expect(await answersTo(absent, token)).toEqual(foreign);
    const { token: viewer } = await api.tokenFor('viewer', 'crew');
    expect((await put(urlOf(Buffer.from('y')), Buffer.from('y'), {}, viewer)).status).toBe(404);
    expect((await fetch(urlOf(bytes))).status).toBe(401);
  });

  test.skipIf(!canMount())('a full disk is a 507 that says so, leaves nothing and costs no quota', async () => {
    const folder = join(api.dataDir, 'artifacts');
    mkdirSync(folder, { recursive: true });
    const disk = mountSmallDisk(folder);
    try {
      const large = Buffer.alloc(3 * 1024 * 1024, 7);
      expect(await told(await put(urlOf(large), large))).toEqual([507, 'LIMIT_EXCEEDED']);
      expect((await get(urlOf(large), operator, 'HEAD')).status).toBe(404);
      expect(blobs()).toEqual([]);
      const small = Buffer.from('there is room for this');
      expect((await put(urlOf(small), small)).status).toBe(201);
    } finally {
      disk.unmount();
    }
  });
});
