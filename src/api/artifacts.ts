import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Router, type Request, type RequestHandler, type Response } from 'express';
import type { Failure, FailureCode } from '../kernel/failure.ts';
import type { Principal } from '../kernel/principal.ts';
import type { ArtifactRef, ArtifactsService, OpenArtifact } from '../registry/artifacts.service.ts';
import { bearerOf, type Authenticator } from './authenticate.ts';

/** HTTP statuses of what an upload may be refused for; everything else is 400. */
const STATUS: Readonly<Partial<Record<FailureCode, number>>> = {
  NOT_FOUND: 404,
  CONFLICT: 409,
  IN_PROGRESS: 409,
  DIGEST_MISMATCH: 422,
  QUOTA_EXCEEDED: 413,
  LIMIT_EXCEEDED: 507,
};

/** An upload that sends nothing for this long is cut. Higher: a dead line holds the artifact; lower: slow lines are cut in a pause. */
const SILENCE_MS = 60_000;

const NOT_FOUND = { error: 'No such artifact, or you may not see it.', code: 'NOT_FOUND' };

export interface ArtifactRoutesDeps {
  readonly artifacts: ArtifactsService;
  readonly authentication: Authenticator;
}

/**
 * Artifact bytes, below `/projects`: `PUT` sends a whole artifact or, with `Content-Range`, goes on with one; `HEAD` tells how far it is
 * (`Upload-Offset`); `GET` reads it, also with a token that was signed for one workload.
 */
export function artifactRoutes({ artifacts, authentication }: ArtifactRoutesDeps): RequestHandler {
  const router = Router();
  const path = '/:team/:project/artifacts/:digest';
  const principalOf = async (request: Request): Promise<Principal | null> => {
    const bearer = bearerOf(request.headers.authorization);
    return bearer === null ? null : authentication.authenticate(bearer);
  };
  router.put(path, async (request, response) => {
    const principal = await principalOf(request);
    if (!principal) {
      unauthenticated(response);
      return;
    }
    const range = rangeOf(request);
    if (!range)
      return void response
        .status(411)
        .json({ error: 'Send Content-Length, or Content-Range: bytes FROM-TO/SIZE.', code: 'INVALID_INPUT' });
    const outcome = await artifacts.upload(principal, { ...refOf(request), ...range, chunks: heard(request) });
    if (!outcome.ok) {
      refuse(response, outcome.error);
      return;
    }
    const { stored, receivedBytes, sizeBytes } = outcome.value;
    response
      .status(stored ? 201 : 202)
      .set('Upload-Offset', String(receivedBytes))
      .json({ stored, receivedBytes, sizeBytes });
  });
  router.head(path, async (request, response) => {
    const principal = await principalOf(request);
    if (!principal) {
      unauthenticated(response);
      return;
    }
    const status = await artifacts.status(principal, refOf(request));
    if (!status) return void response.status(404).end();
    response
      .set('Upload-Offset', String(status.receivedBytes))
      .set('Upload-Length', String(status.sizeBytes))
      .status(status.stored ? 200 : 202)
      .end();
  });
  router.get(path, async (request, response) => {
    const bearer = bearerOf(request.headers.authorization);
    const forWorkload = bearer === null ? null : await artifacts.openForWorkload(bearer, refOf(request));
    if (forWorkload) return send(response, forWorkload);
    const principal = await principalOf(request);
    if (!principal) {
      unauthenticated(response);
      return;
    }
    const artifact = await artifacts.open(principal, refOf(request));
    if (!artifact) return void response.status(404).json(NOT_FOUND);
    return send(response, artifact);
  });
  return router;
}

/** The body as it comes; throws once the sender is silent. Time that nobody asks for more does not count. */
async function* heard(request: Request): AsyncGenerator<Uint8Array> {
  const body = (request as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  for (;;) {
    const timer = setTimeout(() => request.destroy(new Error('The sender of an upload is silent.')), SILENCE_MS);
    const item = await body.next().finally(() => clearTimeout(timer));
    if (item.done) return;
    yield item.value;
  }
}

const refOf = ({ params }: Request): ArtifactRef => ({
  teamName: String(params.team),
  projectName: String(params.project),
  digest: String(params.digest),
});

/** Where the body starts and how large the whole is; null if the request does not say. */
function rangeOf(request: Request): { offset: number; sizeBytes: number } | null {
  const range = request.headers['content-range'];
  if (range !== undefined) {
    const match = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15})$/.exec(range);
    return match ? { offset: Number(match[1]), sizeBytes: Number(match[2]) } : null;
  }
  const length = request.headers['content-length'];
  return length !== undefined && /^\d{1,15}$/.test(length) ? { offset: 0, sizeBytes: Number(length) } : null;
}

/** A reader that goes away ends the reading; there is nobody left to tell. */
async function send(response: Response, artifact: OpenArtifact): Promise<void> {
  response.status(200).set('Content-Type', 'application/octet-stream').set('Content-Length', String(artifact.sizeBytes));
  await pipeline(Readable.from(artifact.chunks), response).catch(() => response.destroy());
}

const unauthenticated = (response: Response): void =>
  void response
    .status(401)
    .set('WWW-Authenticate', 'Bearer')
    .json({ error: 'A valid token is needed.', code: 'UNAUTHENTICATED' });

const refuse = (response: Response, { code, message, hint }: Failure): void =>
  void response.status(STATUS[code] ?? 400).json({ error: message, code, ...(hint ? { hint } : {}) });
