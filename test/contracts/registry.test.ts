// Models, versions, aliases and artifacts on a real database and a real folder; the full disk is a store that behaves like one.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { QuotasService } from '../../src/identity/quotas.service.ts';
import { digestOf } from '../../src/kernel/digest.ts';
import type { Failure } from '../../src/kernel/failure.ts';
import type { Principal } from '../../src/kernel/principal.ts';
import type { Result } from '../../src/kernel/result.ts';
import { packageRoot } from '../../src/main/package-root.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { CLAIM_MS } from '../../src/registry/artifact-store.port.ts';
import { ArtifactRepository } from '../../src/registry/artifact.repository.ts';
import { signArtifactGrant } from '../../src/registry/artifact-grant.ts';
import { ArtifactsService, UPLOAD_LIFETIME_MS, type ArtifactRef } from '../../src/registry/artifacts.service.ts';
import { BlobStoreFull, type BlobStore } from '../../src/registry/blob-store.port.ts';
import { DiskBlobStore } from '../../src/registry/disk-blob-store.adapter.ts';
import { ModelRepository } from '../../src/registry/model.repository.ts';
import { ModelsService } from '../../src/registry/models.service.ts';
import { principalOf, seededRandom } from '../support/actors.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const TEAM = '00000000-0000-7000-8000-000000000001';
const PROJECT = '00000000-0000-7000-8000-000000000002';
const OTHER_TEAM = '00000000-0000-7000-8000-000000000003';
const OTHER_PROJECT = '00000000-0000-7000-8000-000000000004';
const SYSTEM = { kind: 'reconciler', loop: 'test' } as const;
const SECRET = 'a secret';
const RESOURCES = { cpuMilli: 250, memoryMib: 256, accelerator: null };
const MODEL = { teamName: 'vision', projectName: 'demo', name: 'digits' };
const digits = readFileSync(join(packageRoot, 'deploy', 'example', 'digits', 'digits.onnx'));

let db: TestDatabase;
let folder: string;
let now = 1_800_000_000_000;
const clock = { now: () => now };
const operator = principalOf('operator', TEAM);
const stranger = principalOf('operator', OTHER_TEAM);
const as = (principal: Principal, idempotencyKey: string | null = null) => ({ principal, idempotencyKey });
const identity = new IdentityRepository();
let random = seededRandom(7);
const uploadRandom = seededRandom(9);

const artifacts = (blobs: BlobStore = new DiskBlobStore(folder)) =>
  new ArtifactsService({
    database: db.database,
    clock,
    random: uploadRandom,
    store: new ArtifactRepository(),
    blobs,
    identity,
    quotas: new QuotasService(identity),
    grantSecret: SECRET,
  });
const models = () =>
  new ModelsService({
    database: db.database,
    commands: new Commands({ database: db.database, clock }),
    clock,
    random,
    store: new ModelRepository(),
    identity,
    signatures: artifacts(),
  });

const refOf = (bytes: Uint8Array): ArtifactRef => ({ teamName: 'vision', projectName: 'demo', digest: digestOf(bytes) });
async function* pieces(bytes: Uint8Array, failAfter = Infinity): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100) {
    if (at >= failAfter) throw new Error('the connection was cut');
    yield bytes.subarray(at, at + 100);
    await Promise.resolve();
  }
}
const send = (bytes: Uint8Array, service = artifacts()) =>
  service.upload(operator, { ...refOf(bytes), sizeBytes: bytes.length, offset: 0, chunks: pieces(bytes) });
const valueOf = <T>(result: Result<T, Failure>): T => {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
};
const codeOf = (result: Result<unknown, Failure>) => (result.ok ? 'ok' : result.error.code);
const files = async () => (await readdir(folder, { recursive: true })).filter((name) => name.includes('/'));
/** Sends the one, and the other once the gate is open. */
function gated(one: Uint8Array, other: Uint8Array) {
  const gate = Promise.withResolvers<undefined>();
  const started = Promise.withResolvers<undefined>();
  const chunks = (async function* () {
    yield one;
    started.resolve(undefined);
    await gate.promise;
    yield other;
  })();
  return { chunks, started, gate };
}
const fileOf = (bytes: Uint8Array) => `${PROJECT}/${refOf(bytes).digest.slice('sha256:'.length)}.part`;
async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

beforeAll(async () => {
  db = await openTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'purser-blobs-'));
  await db.database.write(SYSTEM, async (tx) => {
    await sqlOf(tx).execute(`insert into team (id, name, version, created_at) values ($1, 'vision', 1, 0), ($2, 'other', 1, 0)`, [
      TEAM,
      OTHER_TEAM,
    ]);
    await sqlOf(tx).execute(
      `insert into project (id, team_id, name, max_replicas, max_spend_per_hour, version, created_at)
       values ($1, $2, 'demo', 5, 1, 1, 0), ($3, $4, 'demo', 5, 1, 1, 0)`,
      [PROJECT, TEAM, OTHER_PROJECT, OTHER_TEAM],
    );
  });
});
afterAll(async () => {
  await db.close();
  await rm(folder, { recursive: true });
});

describe('Registry: artifacts by reference and digest', () => {
  test('an upload is stored and read back, and sending it again changes nothing', async () => {
    const stored = { stored: true, receivedBytes: digits.length, sizeBytes: digits.length };
    expect(await send(digits)).toEqual({ ok: true, value: stored });
    expect(await send(digits)).toEqual({ ok: true, value: stored });
    const open = await artifacts().open(operator, refOf(digits));
    expect(open && (await bytesOf(open.chunks)).equals(digits)).toBe(true);
  });

  test('a wrong digest is told so and leaves nothing', async () => {
    const bytes = Buffer.from('some bytes');
    const before = await files();
    const wrong = { ...refOf(Buffer.from('others')), sizeBytes: bytes.length, offset: 0, chunks: pieces(bytes) };
    expect(codeOf(await artifacts().upload(operator, wrong))).toBe('DIGEST_MISMATCH');
    expect(await artifacts().status(operator, wrong)).toBeNull();
    expect(await files()).toEqual(before);
  });

  test('a wrong body for an artifact that is there is told so too, and the artifact stays', async () => {
    const upload = { ...refOf(digits), sizeBytes: digits.length, offset: 0, chunks: pieces(Buffer.alloc(digits.length)) };
    expect(codeOf(await artifacts().upload(operator, upload))).toBe('DIGEST_MISMATCH');
    expect((await artifacts().status(operator, refOf(digits)))?.stored).toBe(true);
  });

  test('a cut upload goes on where it ended', async () => {
    const bytes = Buffer.from('0123456789'.repeat(100));
    const upload = { ...refOf(bytes), sizeBytes: bytes.length, offset: 0 };
    await expect(artifacts().upload(operator, { ...upload, chunks: pieces(bytes, 300) })).rejects.toThrow('cut');
    const status = await artifacts().status(operator, upload);
    expect(status).toEqual({ stored: false, receivedBytes: 300, sizeBytes: 1000 });
    expect(await artifacts().open(operator, upload)).toBeNull();
    expect(codeOf(await artifacts().upload(operator, { ...upload, offset: 400, chunks: pieces(bytes.subarray(400)) }))).toBe(
      'CONFLICT',
    );
    const rest = await artifacts().upload(operator, { ...upload, offset: 300, chunks: pieces(bytes.subarray(300)) });
    expect(valueOf(rest).stored).toBe(true);
  });

  test('a full disk is a clear failure and leaves nothing', async () => {
    const bytes = Buffer.from('too much'.repeat(100));
    const before = await files();
    expect(codeOf(await send(bytes, artifacts(new FullAfter(folder, 250))))).toBe('LIMIT_EXCEEDED');
    expect(await artifacts().status(operator, refOf(bytes))).toBeNull();
    expect(await files()).toEqual(before);
  });

  test('the quota counts stored and reserved bytes, and a refused body is still consumed', async () => {
    const quota = {
      id: OTHER_PROJECT,
      teamId: TEAM,
      projectId: PROJECT,
      resource: 'artifact_bytes' as const,
      maximum: BigInt(digits.length + 1500),
      version: 1,
    };
    await db.database.write(SYSTEM, (tx) => identity.saveQuota(tx, quota, { at: now, principal: 'test' }));
    const bytes = Buffer.from('quota'.repeat(200));
    let consumed = 0;
    const chunks = (async function* () {
      for await (const piece of pieces(bytes)) {
        consumed += piece.length;
        yield piece;
      }
    })();
    expect(codeOf(await artifacts().upload(operator, { ...refOf(bytes), sizeBytes: bytes.length, offset: 0, chunks }))).toBe(
      'QUOTA_EXCEEDED',
    );
    expect(consumed).toBe(bytes.length);
    const wide = { ...quota, maximum: 10n ** 9n };
    await db.database.write(SYSTEM, (tx) => identity.saveQuota(tx, wide, { at: now, principal: 'test' }));
  });

  test('an abandoned upload gives its quota and its bytes back after its lifetime, one that is gone on with does not', async () => {
    const [left, kept] = [Buffer.from('left alone '.repeat(90)), Buffer.from('gone on with '.repeat(80))];
    const uploadOf = (bytes: Buffer, offset = 0) => ({ ...refOf(bytes), sizeBytes: bytes.length, offset });
    for (const bytes of [left, kept])
      await expect(artifacts().upload(operator, { ...uploadOf(bytes), chunks: pieces(bytes, 300) })).rejects.toThrow('cut');
    now += UPLOAD_LIFETIME_MS - 1;
    const again = artifacts().upload(operator, { ...uploadOf(kept, 300), chunks: pieces(kept.subarray(300), 100) });
    await expect(again).rejects.toThrow('cut');
    expect(await artifacts().sweep()).toBe(0);
    now += 2;
    expect(await artifacts().sweep()).toBe(1);
    expect(await artifacts().status(operator, refOf(left))).toBeNull();
    expect((await artifacts().status(operator, refOf(kept)))?.receivedBytes).toBe(400);
    expect((await files()).filter((name) => name.endsWith('.part'))).toEqual([fileOf(kept)]);
    expect((await artifacts().status(operator, refOf(digits)))?.stored).toBe(true);
    const rest = await artifacts().upload(operator, { ...uploadOf(kept, 400), chunks: pieces(kept.subarray(400)) });
    expect(valueOf(rest).stored).toBe(true);
  });

  test('two control planes are sent the same artifact at once: one takes it, the other says so, and the bytes are right', async () => {
    const bytes = Buffer.from('twice at once '.repeat(500));
    const { chunks, started, gate } = gated(bytes.subarray(0, 100), bytes.subarray(100));
    const first = artifacts().upload(operator, { ...refOf(bytes), sizeBytes: bytes.length, offset: 0, chunks });
    await started.promise;
    expect(codeOf(await send(bytes, artifacts()))).toBe('IN_PROGRESS');
    gate.resolve(undefined);
    expect(valueOf(await first).stored).toBe(true);
    const open = await artifacts().open(operator, refOf(bytes));
    expect(open && (await bytesOf(open.chunks)).equals(bytes)).toBe(true);
    expect(valueOf(await send(bytes)).stored).toBe(true);
  });

  test('a writer that was silent for too long is taken over and writes nothing more', async () => {
    const bytes = Buffer.from('slow and fast '.repeat(100));
    const { chunks, started, gate } = gated(Buffer.from('other bytes'), bytes);
    const slow = artifacts().upload(operator, { ...refOf(bytes), sizeBytes: bytes.length, offset: 0, chunks });
    await started.promise;
    await db.database.write(SYSTEM, (tx) => sqlOf(tx).execute(`update artifact set writer_until = 0`));
    const fast = await send(bytes);
    now += CLAIM_MS;
    gate.resolve(undefined);
    expect(codeOf(await slow)).toBe('IN_PROGRESS');
    expect(valueOf(fast).stored).toBe(true);
    const open = await artifacts().open(operator, refOf(bytes));
    expect(open && (await bytesOf(open.chunks)).equals(bytes)).toBe(true);
  });

  test('another team sees nothing of it, whoever knows the digest', async () => {
    expect(await artifacts().open(stranger, refOf(digits))).toBeNull();
    expect(await artifacts().status(stranger, { ...refOf(digits), teamName: 'other' })).toBeNull();
    const upload = { ...refOf(digits), sizeBytes: digits.length, offset: 0, chunks: pieces(digits) };
    expect(codeOf(await artifacts().upload(stranger, upload))).toBe('NOT_FOUND');
  });

  test('a replica reads exactly the artifact that its token names', async () => {
    const grant = { workloadId: TEAM, projectId: PROJECT, digest: refOf(digits).digest, expiresAt: now + 1000 };
    const token = signArtifactGrant(grant, SECRET);
    const open = await artifacts().openForWorkload(token, refOf(digits));
    expect(open?.sizeBytes).toBe(digits.length);
    expect(await artifacts().openForWorkload(token, { ...refOf(digits), teamName: 'other' })).toBeNull();
    expect(await artifacts().openForWorkload(token, refOf(Buffer.from('x')))).toBeNull();
    expect(await artifacts().openForWorkload(signArtifactGrant({ ...grant, expiresAt: now }, SECRET), refOf(digits))).toBeNull();
  });
});

describe('Registry: models, immutable numbered versions, aliases with history', () => {
  const version = {
    model: MODEL,
    runtime: { format: 'onnx' } as const,
    artifactDigest: digestOf(digits),
    resources: RESOURCES,
    lineage: null,
  };
  const resolve = (choice: { number: number } | { alias: string } | { latest: true }, principal = operator) =>
    db.database.read({ kind: 'platform' }, (tx) =>
      models().resolveVersion(tx, principal, { projectId: PROJECT, model: 'digits', version: choice }),
    );

  test('a model is registered once', async () => {
    const input = { project: { teamName: 'vision', name: 'demo' }, name: 'digits', description: 'Digits.' };
    valueOf(await models().registerModel(as(operator), input));
    expect(codeOf(await models().registerModel(as(operator), input))).toBe('ALREADY_EXISTS');
    expect(codeOf(await models().registerModel(as(operator), { ...input, name: 'Not a name' }))).toBe('INVALID_INPUT');
    expect(codeOf(await models().registerModel(as(stranger), { ...input, name: 'mine' }))).toBe('NOT_FOUND');
  });

  test('versions are numbered without holes, also when ten come at once', async () => {
    const service = models();
    const results = await Promise.all(Array.from({ length: 10 }, () => service.registerVersion(as(operator), version)));
    expect(results.map(codeOf)).toEqual(Array<string>(10).fill('ok'));
    const model = await db.database.read(SYSTEM, (tx) => service.model(tx, operator, MODEL));
    const rows = await db.database.read(SYSTEM, (tx) =>
      service.versions(tx, { modelIds: [model?.id ?? ''], limit: 100, below: null }),
    );
    expect(rows.map((row) => row.number)).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    expect(rows[0]?.signature?.inputs.map((input) => input.shape)).toEqual([[-1, 64]]);
    expect(rows[0]?.artifact).toEqual({ digest: digestOf(digits), sizeBytes: digits.length });
  });

  test('the same key registers once', async () => {
    const first = await models().registerVersion(as(operator, 'key'), version);
    random = seededRandom(8);
    expect(await models().registerVersion(as(operator, 'key'), version)).toEqual(first);
  });

  test('an artifact that is missing or no ONNX file is refused', async () => {
    const text = Buffer.from('not a model');
    valueOf(await send(text));
    expect(codeOf(await models().registerVersion(as(operator), { ...version, artifactDigest: digestOf(text) }))).toBe(
      'INVALID_INPUT',
    );
    expect(codeOf(await models().registerVersion(as(operator), { ...version, artifactDigest: digestOf('absent') }))).toBe(
      'NOT_FOUND',
    );
  });

  test('an alias moves and its history stays', async () => {
    const service = models();
    for (const number of [1, 2, 2, 1]) {
      now += 1000;
      valueOf(await service.setAlias(as(operator), { model: MODEL, name: 'stable', number }));
    }
    expect((await resolve({ alias: 'stable' }))?.number).toBe(1);
    const history = await db.database.read(SYSTEM, async (tx) =>
      service.aliasHistory(tx, [(await service.model(tx, operator, MODEL))?.id ?? '']),
    );
    expect(history.map((change) => change.generation)).toEqual([3, 2, 1]);
    expect(codeOf(await service.setAlias(as(operator), { model: MODEL, name: 'stable', number: 99 }))).toBe('NOT_FOUND');
    const guarded = (name: string, number: number, expectedVersion: number) =>
      service.setAlias(as(operator), { model: MODEL, name, number, expectedVersion });
    expect(codeOf(await guarded('stable', 2, 2))).toBe('CONFLICT');
    expect(codeOf(await guarded('fresh', 2, 1))).toBe('CONFLICT');
    const both = await Promise.all([guarded('stable', 2, 3), guarded('stable', 2, 3)]);
    expect(both.filter(({ ok }) => ok)).toHaveLength(1);
    valueOf(await guarded('fresh', 2, 0));
    valueOf(await guarded('stable', 1, 4));
  });

  test('versions resolve by number, alias and latest; for others they are not there', async () => {
    expect((await resolve({ number: 3 }))?.number).toBe(3);
    expect((await resolve({ latest: true }))?.number).toBe(11);
    expect(await resolve({ alias: 'none' })).toBeNull();
    expect(await resolve({ number: 3 }, stranger)).toBeNull();
  });

  test('an archived version is out of use, but not while an alias points at it', async () => {
    const [eleventh, first] = [await resolve({ number: 11 }), await resolve({ number: 1 })];
    valueOf(await models().archiveVersion(as(operator), { versionId: eleventh?.id ?? '' }));
    expect((await resolve({ latest: true }))?.number).toBe(10);
    expect(codeOf(await models().setAlias(as(operator), { model: MODEL, name: 'stable', number: 11 }))).toBe(
      'PRECONDITION_FAILED',
    );
    expect(codeOf(await models().archiveVersion(as(operator), { versionId: first?.id ?? '' }))).toBe('PRECONDITION_FAILED');
    const foreign = await models().archiveVersion(as(stranger), { versionId: first?.id ?? '' });
    expect(foreign).toMatchObject({ ok: false, error: { code: 'NOT_FOUND', path: ['input', 'modelVersion'] } });
  });

  test('each change is an event, and their versions rise', async () => {
    const events = await db.database.read(SYSTEM, (tx) =>
      sqlOf(tx).query<{ type: string; subject_version: number }>(`select type, subject_version from outbox order by seq`),
    );
    expect(new Set(events.map((event) => event.type))).toEqual(
      new Set(['model.registered', 'model_version.registered', 'alias.changed', 'model_version.archived']),
    );
    expect(events.map((event) => event.subject_version)).toEqual(events.map((_, index) => index + 1));
  });

  test('lists show what the caller may see', async () => {
    const page = { project: null, nameContains: null, after: null, first: 10 };
    const seenBy = (principal: Principal) => db.database.read(SYSTEM, (tx) => models().models(tx, principal, page));
    expect((await seenBy(operator)).items.map((model) => model.name)).toEqual(['digits']);
    expect((await seenBy(principalOf('viewer', TEAM, PROJECT))).items).toHaveLength(1);
    expect((await seenBy(principalOf('platform_admin', null))).items).toHaveLength(1);
    expect((await seenBy(stranger)).items).toEqual([]);
    expect((await seenBy(principalOf('invoker', TEAM))).items).toEqual([]);
  });
});

/** A disk with room for so many bytes. */
class FullAfter extends DiskBlobStore {
  readonly #room: number;

  constructor(path: string, room: number) {
    super(path);
    this.#room = room;
  }

  override append(...[key, chunks]: Parameters<DiskBlobStore['append']>): Promise<number> {
    return super.append(key, this.#upToRoom(chunks));
  }

  async *#upToRoom(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let written = 0;
    for await (const chunk of chunks) {
      written += chunk.length;
      if (written > this.#room) throw new BlobStoreFull('no space left');
      yield chunk;
    }
  }
}
