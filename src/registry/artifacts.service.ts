import { mayDo } from '../identity/authorize.ts';
import type { IdentityStore } from '../identity/identity-store.port.ts';
import type { QuotasService } from '../identity/quotas.service.ts';
import type { Project } from '../identity/team.ts';
import type { Clock } from '../kernel/clock.ts';
import { isDigest, startDigest, type Digest, type RunningDigest } from '../kernel/digest.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import { newId, type Id } from '../kernel/id.ts';
import { DAY_MS } from '../kernel/instant.ts';
import { isName } from '../kernel/name.ts';
import { scopeOf, type Principal } from '../kernel/principal.ts';
import type { Random } from '../kernel/random.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { readArtifactGrant } from './artifact-grant.ts';
import type { Artifact, ArtifactStore } from './artifact-store.port.ts';
import { BlobStoreFull, type BlobKey, type BlobStore } from './blob-store.port.ts';
import type { Signature } from './model-version.ts';
import { OnnxSignatureReader } from './onnx-signature.ts';
import type { SignatureSource } from './signature-source.port.ts';
import { UploadClaim, UploadTakenOver } from './upload-claim.service.ts';

export interface ArtifactsDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: ArtifactStore;
  readonly blobs: BlobStore;
  readonly identity: Pick<IdentityStore, 'findProject'>;
  readonly quotas: QuotasService;
  /** Signs the tokens by which replicas fetch artifacts. */
  readonly grantSecret: string;
}

/** Which artifact, as its URL names it. */
export interface ArtifactRef {
  readonly teamName: string;
  readonly projectName: string;
  readonly digest: string;
}

export interface Upload extends ArtifactRef {
  /** Size of the whole artifact. */
  readonly sizeBytes: number;
  /** Where `chunks` starts: 0, or what `status` gave as `receivedBytes`. */
  readonly offset: number;
  /** Always consumed to its end, whatever the answer. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface ArtifactStatus {
  /** All bytes are there and have the digest. */
  readonly stored: boolean;
  readonly receivedBytes: number;
  readonly sizeBytes: number;
}

export interface OpenArtifact {
  readonly sizeBytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** Largest artifact, 1 TiB. Higher: one upload outlasts any token; lower: refuses large models. */
const MAX_ARTIFACT_BYTES = 1024 ** 4;

/** An upload that nobody goes on with for this long is forgotten. Higher holds its quota for longer, lower ends one over a weekend's cut line. */
export const UPLOAD_LIFETIME_MS = 2 * DAY_MS;
/** Uploads forgotten in one run. Higher holds a run for long, lower lets them pile up. */
const MAX_SWEPT = 1_000;
const SCOPE: Scope = { kind: 'reconciler', loop: 'artifacts' };

/** Signatures kept at hand. Higher: memory; lower: a file is read again for a repeated registration. */
const MAX_SIGNATURES = 200;

/** Artifact bytes by (project, digest), never by digest alone. */
export class ArtifactsService implements SignatureSource {
  readonly #deps: ArtifactsDeps;
  /** By digest, which says all: what artifacts take and give, read lately. */
  readonly #signatures = new Map<Digest, Result<Signature, Failure>>();

  constructor(deps: ArtifactsDeps) {
    this.#deps = deps;
  }

  /**
   * Takes bytes of an artifact; once all are there they are checked and stored. A cut upload goes on from `status`. Failures: NOT_FOUND,
   * INVALID_INPUT, QUOTA_EXCEEDED, IN_PROGRESS (the same artifact is being sent), CONFLICT (wrong offset), DIGEST_MISMATCH (nothing is
   * kept), LIMIT_EXCEEDED (the store is full, nothing is kept). Throws what `chunks` throws; what arrived before is kept.
   */
  async upload(principal: Principal, upload: Upload): Promise<Result<ArtifactStatus, Failure>> {
    const body = new WholeBody(upload.chunks);
    const outcome = namesProject(upload) ? await this.#upload(principal, { ...upload, chunks: body }) : err(notFound('project'));
    await body.drain();
    return outcome;
  }

  /** How far an upload is; null for absent and for forbidden. */
  async status(principal: Principal, ref: ArtifactRef): Promise<ArtifactStatus | null> {
    const found = await this.#find(principal, 'artifact.read', ref);
    if (!found) return null;
    const { sizeBytes, state } = found.artifact;
    const stored = state === 'stored';
    return { stored, sizeBytes, receivedBytes: stored ? sizeBytes : await this.#deps.blobs.stagedBytes(found.artifact) };
  }

  /** The bytes; null for absent, unfinished and forbidden. */
  async open(principal: Principal, ref: ArtifactRef): Promise<OpenArtifact | null> {
    const found = await this.#find(principal, 'artifact.read', ref);
    return found && this.#opened(found.artifact);
  }

  /** The bytes for a replica that shows a token signed for its workload; null for anything else. */
  async openForWorkload(token: string, ref: ArtifactRef): Promise<OpenArtifact | null> {
    const grant = readArtifactGrant(token, this.#deps.grantSecret, this.#deps.clock.now());
    if (grant?.digest !== ref.digest) return null;
    const artifact = await this.#deps.database.read(SCOPE, async (tx) => {
      const project = await this.#deps.identity.findProject(tx, { teamName: ref.teamName, name: ref.projectName });
      return project?.id === grant.projectId ? this.#deps.store.artifact(tx, project.id, grant.digest) : null;
    });
    return artifact && this.#opened(artifact);
  }

  async read(
    tx: Transaction,
    key: { readonly projectId: Id; readonly digest: string },
  ): Promise<Result<{ readonly signature: Signature; readonly sizeBytes: number }, Failure>> {
    const artifact = await this.#deps.store.artifact(tx, key.projectId, key.digest);
    if (artifact?.state !== 'stored') return err(notFound('artifact in this project'));
    const signature = this.#signatures.get(artifact.digest) ?? (await this.#signatureOf(artifact));
    return signature.ok ? ok({ signature: signature.value, sizeBytes: artifact.sizeBytes }) : signature;
  }

  async prepare({ projectId, digest }: { readonly projectId: Id; readonly digest: string }): Promise<void> {
    const artifact = await this.#deps.database.read(SCOPE, (tx) => this.#deps.store.artifact(tx, projectId, digest));
    if (artifact?.state !== 'stored' || this.#signatures.has(digest)) return;
    const signature = await this.#signatureOf(artifact);
    const [oldest] = this.#signatures.keys();
    if (oldest !== undefined && this.#signatures.size >= MAX_SIGNATURES) this.#signatures.delete(oldest);
    this.#signatures.set(digest, signature);
  }

  async #signatureOf(artifact: Artifact): Promise<Result<Signature, Failure>> {
    const reader = new OnnxSignatureReader(artifact.sizeBytes);
    for await (const chunk of this.#deps.blobs.open(artifact)) reader.push(chunk);
    return reader.end();
  }

  /** Gives back the room of uploads that nobody went on with; idempotent, so that every instance may do it. Gives how many there were. */
  async sweep(): Promise<number> {
    const { database, store, clock, random } = this.#deps;
    const now = clock.now();
    const abandoned = await database.read(SCOPE, (tx) => store.abandoned(tx, now - UPLOAD_LIFETIME_MS, MAX_SWEPT));
    for (const artifact of abandoned) {
      const writer = newId(now, random);
      // Whoever goes on with it at this moment is first or waits.
      const isOurs = await database.write(SCOPE, (tx) => store.claim(tx, artifact, writer));
      if (isOurs) await this.#forget(SCOPE, artifact, writer);
    }
    return abandoned.length;
  }

  async #upload(principal: Principal, upload: Upload): Promise<Result<ArtifactStatus, Failure>> {
    const takenAt = this.#deps.clock.now();
    const writer = newId(takenAt, this.#deps.random);
    const reserved = await this.#reserve(principal, upload, writer);
    if (!reserved.ok) return reserved;
    const artifact = reserved.value;
    if (artifact.state === 'stored') return this.#verifyOnly(artifact, upload);
    const claim = new UploadClaim({ ...this.#deps, scope: scopeOf(principal), artifact, writer }, takenAt);
    const writing = { principal, artifact, writer, claim };
    try {
      return await this.#receive(writing, upload);
    } catch (error) {
      return await this.#broken(writing, error);
    } finally {
      await claim.end();
    }
  }

  async #broken({ principal, artifact, writer, claim }: Writing, error: unknown): Promise<Result<never, Failure>> {
    if (error instanceof UploadTakenOver) return err(underWay());
    if (!(error instanceof BlobStoreFull)) throw error;
    if (await claim.isTakenOver()) return err(underWay());
    await this.#forget(scopeOf(principal), artifact, writer);
    const message = 'The artifact store is full; nothing of the upload was kept.';
    return err(failure('LIMIT_EXCEEDED', message, { internal: String(error) }));
  }

  /** Finds the project, makes room under the quota and becomes the one writer. */
  #reserve(principal: Principal, upload: Upload, writer: Id): Promise<Result<Artifact, Failure>> {
    const { store, identity, clock, database } = this.#deps;
    return database.write(scopeOf(principal), async (tx) => {
      const project = await identity.findProject(tx, { teamName: upload.teamName, name: upload.projectName });
      if (!project || !mayDo(principal, 'artifact.write', targetOf(project))) return err(notFound('project'));
      const wrong = checkUpload(upload);
      if (wrong) return err(wrong);
      await store.lockUse(tx, project.teamId);
      const existing = await store.artifact(tx, project.id, upload.digest);
      if (existing?.state === 'stored') return ok(existing);
      const refused = refuseOtherSize(existing, upload) ?? (await this.#checkQuota(tx, project, upload, existing));
      if (refused) return err(refused);
      const key = { projectId: project.id, teamId: project.teamId, digest: upload.digest };
      const artifact: Artifact = { ...key, sizeBytes: upload.sizeBytes, state: 'uploading', createdAt: clock.now() };
      return (await store.claim(tx, artifact, writer)) ? ok(artifact) : err(underWay());
    });
  }

  async #checkQuota(tx: Transaction, project: Project, upload: Upload, existing: Artifact | null): Promise<Failure | null> {
    const use = await this.#deps.store.use(tx, project.teamId, project.id);
    const wanted = BigInt(upload.sizeBytes - (existing?.sizeBytes ?? 0));
    return this.#deps.quotas.check(tx, { ...targetOf(project), resource: 'artifact_bytes', use, wanted });
  }

  async #receive(writing: Writing, upload: Upload): Promise<Result<ArtifactStatus, Failure>> {
    const { blobs, database, store } = this.#deps;
    const { principal, artifact, writer, claim } = writing;
    // From the start again is always allowed; elsewhere only where the kept bytes end.
    if (upload.offset === 0) await blobs.discard(artifact);
    const staged = await blobs.stagedBytes(artifact);
    if (upload.offset !== staged) {
      return err(failure('CONFLICT', `The upload goes on at byte ${staged}.`, { details: { receivedBytes: staged } }));
    }
    const digest = startDigest();
    if (staged > 0) for await (const chunk of blobs.openStaged(artifact)) digest.add(chunk);
    const chunks = atMost(upload.chunks, artifact.sizeBytes - staged + 1);
    const receivedBytes = await blobs.append(artifact, claim.guard(hashing(chunks, digest)));
    if (receivedBytes < artifact.sizeBytes) return ok({ stored: false, receivedBytes, sizeBytes: artifact.sizeBytes });
    await claim.confirm();
    if (receivedBytes > artifact.sizeBytes || digest.end() !== artifact.digest) {
      await this.#forget(scopeOf(principal), artifact, writer);
      return err(mismatch());
    }
    await blobs.commit(artifact);
    const stored = await database.write(scopeOf(principal), (tx) => store.finish(tx, artifact, writer));
    return stored ? ok({ stored, receivedBytes, sizeBytes: artifact.sizeBytes }) : err(underWay());
  }

  /** It is there already: the bytes are still hashed, so that a wrong body is told so and timing says nothing. */
  async #verifyOnly(artifact: Artifact, upload: Upload): Promise<Result<ArtifactStatus, Failure>> {
    const digest = startDigest();
    for await (const chunk of upload.chunks) digest.add(chunk);
    const { sizeBytes } = artifact;
    if (upload.offset === 0 && digest.end() !== artifact.digest) return err(mismatch());
    return ok({ stored: true, receivedBytes: sizeBytes, sizeBytes });
  }

  async #forget(scope: Scope, artifact: Artifact, writer: Id): Promise<void> {
    await this.#deps.blobs.remove(artifact);
    await this.#deps.database.write(scope, (tx) => this.#deps.store.remove(tx, artifact, writer));
  }

  async #find(principal: Principal, action: 'artifact.read', ref: ArtifactRef): Promise<{ artifact: Artifact } | null> {
    if (!namesProject(ref) || !isDigest(ref.digest)) return null;
    return this.#deps.database.read(scopeOf(principal), async (tx) => {
      const project = await this.#deps.identity.findProject(tx, { teamName: ref.teamName, name: ref.projectName });
      if (!project || !mayDo(principal, action, targetOf(project))) return null;
      const artifact = await this.#deps.store.artifact(tx, project.id, ref.digest);
      return artifact && { artifact };
    });
  }

  #opened(artifact: Artifact & BlobKey): OpenArtifact | null {
    return artifact.state === 'stored' ? { sizeBytes: artifact.sizeBytes, chunks: this.#deps.blobs.open(artifact) } : null;
  }
}

interface Writing {
  readonly principal: Principal;
  readonly artifact: Artifact;
  readonly writer: Id;
  readonly claim: UploadClaim;
}

const underWay = (): Failure => failure('IN_PROGRESS', 'This artifact is being uploaded already.', { retryAfterMs: 1000 });

/** What can be no name never reaches the database, whose text holds no NUL. */
const namesProject = ({ teamName, projectName }: ArtifactRef): boolean => isName(teamName) && isName(projectName);

/** The room is reserved for the size that was told first: with less, bytes would be kept that no quota counts. */
function refuseOtherSize(existing: Artifact | null, upload: Upload): Failure | null {
  if (!existing || upload.offset === 0 || upload.sizeBytes === existing.sizeBytes) return null;
  const message = `The upload was begun as ${existing.sizeBytes} bytes: go on with that size, or send it whole again.`;
  return failure('CONFLICT', message);
}

const targetOf = (project: Project): { teamId: Id; projectId: Id } => ({ teamId: project.teamId, projectId: project.id });

const mismatch = (): Failure =>
  failure('DIGEST_MISMATCH', 'The bytes do not have the digest that was promised; nothing was kept.', {
    hint: 'Compute the SHA-256 of the file again and repeat.',
  });

function checkUpload({
  digest,
  sizeBytes,
  offset,
}: {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly offset: number;
}): Failure | null {
  if (!isDigest(digest)) return failure('INVALID_INPUT', 'A digest is "sha256:" and 64 hex digits.');
  if (sizeBytes < 1 || sizeBytes > MAX_ARTIFACT_BYTES)
    return failure('INVALID_INPUT', `An artifact has 1 to ${MAX_ARTIFACT_BYTES} bytes.`);
  return offset < 0 || offset > sizeBytes ? failure('INVALID_INPUT', 'The offset lies outside the artifact.') : null;
}

/** One byte more than was promised tells that the body is too long; what follows takes no room. */
async function* atMost(chunks: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of chunks) {
    yield chunk.subarray(0, left);
    left -= chunk.length;
    if (left <= 0) return;
  }
}

async function* hashing(chunks: AsyncIterable<Uint8Array>, digest: RunningDigest): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    digest.add(chunk);
    yield chunk;
  }
}

/** A body that can be read to its end after whoever read it has stopped. */
class WholeBody implements AsyncIterable<Uint8Array> {
  readonly #iterator: AsyncIterator<Uint8Array>;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#iterator = chunks[Symbol.asyncIterator]();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    // Without `return`: a reader that stops early must not close the body.
    return { next: () => this.#iterator.next() };
  }

  async drain(): Promise<void> {
    while (!(await this.#iterator.next()).done);
  }
}
