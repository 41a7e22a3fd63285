// Everything that a version can say of itself, in each format, written to a real database and read back; and what it refuses to say.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { ModelRepository } from '../../src/registry/model.repository.ts';
import type { VersionDraft } from '../../src/registry/model.ts';
import { ModelsService } from '../../src/registry/models.service.ts';
import type { Signature } from '../../src/registry/model-version.ts';
import { ok } from '../../src/kernel/result.ts';
import { principalOf, seededRandom } from '../support/actors.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const TEAM = '00000000-0000-7000-8000-000000000001';
const PROJECT = '00000000-0000-7000-8000-000000000002';
const MODEL = { teamName: 'vision', projectName: 'demo', name: 'reader' };
const operator = { principal: principalOf('operator', TEAM), idempotencyKey: null };
const signature: Signature = {
  inputs: [{ name: 'page', datatype: 'UINT8', shape: [-1, 1024, 1024, 3] }],
  outputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }],
  irVersion: 8,
  opset: 17,
};

let db: TestDatabase;
let models: ModelsService;
/** What happens while an artifact is read. */
let whileRead = () => Promise.resolve();

beforeAll(async () => {
  db = await openTestDatabase();
  const clock = { now: () => 1_800_000_000_000 };
  models = new ModelsService({
    database: db.database,
    commands: new Commands({ database: db.database, clock }),
    clock,
    random: seededRandom(3),
    store: new ModelRepository(),
    identity: new IdentityRepository(),
    signatures: { prepare: () => whileRead(), read: () => Promise.resolve(ok({ signature, sizeBytes: 7 })) },
  });
  await db.database.write({ kind: 'reconciler', loop: 'test' }, async (tx) => {
    await sqlOf(tx).execute(`insert into team (id, name, version, created_at) values ($1, 'vision', 1, 0)`, [TEAM]);
    await sqlOf(tx).execute(
      `insert into project (id, team_id, name, max_replicas, max_spend_per_hour, version, created_at) values ($1, $2, 'demo', 5, 1, 1, 0)`,
      [PROJECT, TEAM],
    );
  });
  await models.registerModel(operator, { project: { teamName: 'vision', name: 'demo' }, name: 'reader', description: '' });
});
afterAll(() => db.close());

const served = { port: 9000, healthPath: '/healthy', protocol: 'openai' as const, environment: { THREADS: '4' } };
const onnx: VersionDraft = {
  runtime: { format: 'onnx' },
  artifactDigest: `sha256:${'a'.repeat(64)}`,
  resources: { cpuMilli: 250, memoryMib: 256, accelerator: { model: 'T4', countMilli: 500, memoryMib: 16_384 } },
  lineage: { runId: 'run-7', sourceUrl: 'https://example.com/train@4f2a' },
  carries: [
    { accelerator: 'T4', milliRequestsPerSecond: 12_500 },
    { accelerator: null, milliRequestsPerSecond: 1 },
  ],
};
const container: VersionDraft = {
  runtime: { format: 'container', image: 'registry.example.com/reader:1', ...served },
  artifactDigest: null,
  resources: { cpuMilli: 8_000, memoryMib: 65_536, accelerator: { model: 'H100', countMilli: 2_000, memoryMib: 81_920 } },
  lineage: { runId: null, sourceUrl: 'https://example.com/reader' },
};
const command: VersionDraft = {
  runtime: { format: 'process', command: ['python3', '-m', 'reader'], ...served },
  artifactDigest: null,
  resources: { cpuMilli: 100, memoryMib: 128, accelerator: null },
  lineage: null,
};

const register = (draft: VersionDraft) => models.registerVersion(operator, { model: MODEL, ...draft });
const read = (number: number) =>
  db.database.read({ kind: 'platform' }, (tx) =>
    models.resolveVersion(tx, operator.principal, { projectId: PROJECT, model: 'reader', version: { number } }),
  );

describe('Registry: what a version says of itself', () => {
  test('formats, resources with accelerators, signature and lineage come back as they were given, whatever comes after', async () => {
    const drafts = [onnx, container, command];
    for (const draft of drafts) expect(await register(draft)).toMatchObject({ ok: true });
    for (const [index, draft] of drafts.entries()) {
      const version = await read(index + 1);
      expect(version).toMatchObject({
        ...(draft.carries && { carries: draft.carries }),
        runtime: draft.runtime,
        resources: draft.resources,
        lineage: draft.lineage,
      });
      expect(version?.format).toBe(draft.runtime.format);
    }
    expect(await read(1)).toMatchObject({ signature, artifact: { digest: onnx.artifactDigest, sizeBytes: 7 } });
    expect(await read(2)).toMatchObject({ signature: null, artifact: null, carries: [] });
  });

  test('while its artifact is read nobody waits for the model', async () => {
    let meanwhile: unknown = null;
    whileRead = async () => {
      meanwhile = await models.setAlias(operator, { model: MODEL, name: 'champion', number: 1 });
    };
    expect(await register(onnx)).toMatchObject({ ok: true });
    expect(meanwhile).toMatchObject({ ok: true });
    whileRead = () => Promise.resolve();
  });

  test.each<[string, VersionDraft]>([
    ['no CPU', { ...onnx, resources: { ...onnx.resources, cpuMilli: 0 } }],
    ['half a byte of memory', { ...onnx, resources: { ...onnx.resources, memoryMib: 0.5 } }],
    [
      'a negative share of a device',
      { ...onnx, resources: { ...onnx.resources, accelerator: { model: 'T4', countMilli: -1, memoryMib: 0 } } },
    ],
    [
      'a device without a name',
      { ...onnx, resources: { ...onnx.resources, accelerator: { model: '', countMilli: 1000, memoryMib: 0 } } },
    ],
    ['a replica that carries nothing', { ...onnx, carries: [{ accelerator: null, milliRequestsPerSecond: 0 }] }],
    ['one accelerator twice', { ...onnx, carries: [...(onnx.carries ?? []), { accelerator: 'T4', milliRequestsPerSecond: 1 }] }],
    ['what is carried on any accelerator', { ...onnx, carries: [{ accelerator: 'any', milliRequestsPerSecond: 1 }] }],
    ['ONNX without a file', { ...onnx, artifactDigest: null }],
    ['an empty command', { ...command, runtime: { format: 'process', command: [], ...served } }],
    ['a port that is none', { ...command, runtime: { format: 'process', command: ['x'], ...served, port: 70_000 } }],
    [
      'a health path that is no path',
      { ...command, runtime: { format: 'process', command: ['x'], ...served, healthPath: 'healthy' } },
    ],
    ['an image that is none', { ...container, runtime: { format: 'container', image: '', ...served } }],
    [
      'an environment that would name the replica',
      { ...command, runtime: { format: 'process', command: ['x'], ...served, environment: { 'A=B': '1' } } },
    ],
    ['a source that is no web address', { ...onnx, lineage: { runId: null, sourceUrl: 'javascript:alert(1)' } }],
  ])('%s is refused in words that name the field', async (_what, draft) => {
    const refused = await register(draft);
    expect(refused).toMatchObject({ ok: false, error: { code: 'INVALID_INPUT' } });
    if (!refused.ok) expect(refused.error.path?.[0]).toBe('input');
    expect(await read(5)).toBeNull();
  });
});
