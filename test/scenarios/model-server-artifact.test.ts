// The built model server with the settings that it has in a pod, and a source of artifacts that the test can send away and make refuse.
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { digestOf } from '../../src/kernel/digest.ts';
import { builtEntry, builtNode, ensureBuilt } from '../support/build.ts';
import { eventually } from '../support/eventually.ts';

const example = join(import.meta.dirname, '..', '..', 'deploy', 'example', 'digits');
const model = readFileSync(join(example, 'digits.onnx'));

beforeAll(ensureBuilt);

/** Answers with the model to whoever shows the token, or with the status that it is told. */
class Source {
  status: number | null = null;
  token = 'good';
  asked = 0;
  readonly #server: Server = createServer((request, response) => {
    this.asked += 1;
    const status = this.status ?? (request.headers.authorization === `Bearer ${this.token}` ? 200 : 401);
    response.writeHead(status).end(status === 200 ? model : undefined);
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void this.#server.close());
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/model`;
  }
}

interface Scene {
  readonly source: Source;
  readonly folder: string;
  readonly base: string;
  readonly start: (more?: Record<string, string>) => Running;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly words: () => string;
}

async function scene(): Promise<Scene> {
  const source = new Source();
  const url = await source.start();
  const folder = mkdtempSync(join(tmpdir(), 'purser-model-server-'));
  writeFileSync(join(folder, 'token'), 'good\n');
  const port = await freePort();
  const start = (more: Record<string, string> = {}): Running => {
    const env = {
      ORT_DISABLE_TELEMETRY: '1',
      HOST: '0.0.0.0',
      PORT: String(port),
      PURSER_MODEL_NAME: 'digits',
      PURSER_MODEL_VERSION: '7',
      PURSER_ARTIFACT_URL: url,
      PURSER_ARTIFACT_DIGEST: digestOf(model),
      PURSER_ARTIFACT_TOKEN_FILE: join(folder, 'token'),
      PURSER_ARTIFACT_CACHE: join(folder, 'artifacts'),
      ...more,
    };
    const child = spawn(builtNode, [builtEntry, 'model-server'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let words = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (words += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    return { child, ended, words: () => words };
  };
  return { source, folder, base: `http://127.0.0.1:${port}`, start };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const statusOf = (url: string): Promise<number | null> =>
  fetch(url).then(
    ({ status }) => status,
    () => null,
  );
const isReady = async ({ base }: Scene): Promise<boolean> => (await statusOf(`${base}/v2/health/ready`)) === 200;

describe('Model server: the model is fetched', () => {
  test('while its source is away it is alive and not ready; then it serves, and drains at SIGTERM', async () => {
    const world = await scene();
    world.source.status = 503;
    const { child, ended, words } = world.start();
    await eventually(async () => (await statusOf(`${world.base}/v2/health/live`)) === 200);
    await eventually(() => world.source.asked >= 2);
    expect(await statusOf(`${world.base}/v2/health/ready`)).toBe(503);
    expect(await statusOf(`${world.base}/v2/models/digits`)).toBe(503);
    expect(words()).toContain("The artifact could not be fetched: the artifact's source answered 503. Trying again.");
    world.source.status = null;
    await eventually(() => isReady(world));
    const body = readFileSync(join(example, 'request.json'));
    const answer = await fetch(`${world.base}/v2/models/digits/versions/7/infer`, { method: 'POST', body });
    expect(await answer.json()).toMatchObject({ model_name: 'digits', model_version: '7' });
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  test('a second start in the same folder asks nobody', async () => {
    const world = await scene();
    const first = world.start();
    await eventually(() => isReady(world));
    first.child.kill('SIGKILL');
    await first.ended;
    const { asked } = world.source;
    world.source.status = 503;
    world.start();
    await eventually(() => isReady(world));
    expect(world.source.asked).toBe(asked);
  });

  test('a token that was replaced meanwhile is used at the next try', async () => {
    const world = await scene();
    world.source.status = 429;
    world.start();
    await eventually(() => world.source.asked >= 1);
    world.source.token = 'better';
    writeFileSync(join(world.folder, 'token'), 'better');
    world.source.status = null;
    await eventually(() => isReady(world));
  });

  test.each([
    ['a token that is refused', { PURSER_ARTIFACT_TOKEN_FILE: '/dev/null' }, 'source answered 401'],
    [
      'a token that is not there',
      { PURSER_ARTIFACT_TOKEN_FILE: '/nowhere/token' },
      'PURSER_ARTIFACT_TOKEN_FILE names /nowhere/token',
    ],
    ['other bytes', { PURSER_ARTIFACT_DIGEST: digestOf('other') }, `has digest ${digestOf(model)}, wanted ${digestOf('other')}`],
    ['a digest that is none', { PURSER_ARTIFACT_DIGEST: 'latest' }, 'PURSER_ARTIFACT_DIGEST: must be sha256:'],
    ['an address that is none', { PURSER_ARTIFACT_URL: 'model.onnx' }, 'PURSER_ARTIFACT_URL'],
  ])('%s ends it with a sentence', async (_what, settings, sentence) => {
    const world = await scene();
    const { ended, words } = world.start(settings);
    expect(await ended).toBe(1);
    expect(words()).toMatch(/^purser: /);
    expect(words()).toContain(sentence);
    const artifacts = join(world.folder, 'artifacts');
    if (!sentence.includes('PURSER_ARTIFACT')) expect(readdirSync(artifacts)).toEqual([]);
  });

  test('asked to end while it waits, it ends at once', async () => {
    const world = await scene();
    world.source.status = 503;
    const { child, ended } = world.start();
    await eventually(async () => (await statusOf(`${world.base}/v2/health/live`)) === 200);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });
});
