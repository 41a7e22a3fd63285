import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isDigest } from '../kernel/digest.ts';
import { ArtifactCache, ArtifactRefused } from '../local/artifact-cache.ts';
import { StartError } from './start-error.ts';

/** First wait before another try, doubled up to the last. Lower: many replicas hammer; higher: one starts late after an outage. */
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 10_000;

const Environment = z.object({
  PURSER_ARTIFACT_URL: z.url({ protocol: /^https?$/ }),
  PURSER_ARTIFACT_DIGEST: z.string().refine(isDigest, 'must be sha256: and 64 hexadecimal digits'),
  PURSER_ARTIFACT_TOKEN_FILE: z.string().min(1),
  PURSER_ARTIFACT_CACHE: z.string().min(1).default(tmpdir()),
});

/**
 * The file of the artifact at `PURSER_ARTIFACT_URL`, kept in `PURSER_ARTIFACT_CACHE` under its digest, so that a replica that starts again in
 * the same folder asks nobody. The token is read from its file at each try, because it may have been replaced. A source that is away is
 * asked again for ever; one that refuses, and wrong bytes, end the process with a `StartError`.
 */
export async function fetchModel(env: NodeJS.ProcessEnv): Promise<string> {
  const parsed = Environment.safeParse(env);
  if (!parsed.success)
    throw new StartError(parsed.error.issues.map(({ path, message }) => `${path.join()}: ${message}`).join('; '));
  const { PURSER_ARTIFACT_URL: url, PURSER_ARTIFACT_DIGEST: digest, ...rest } = parsed.data;
  const cache = new ArtifactCache(rest.PURSER_ARTIFACT_CACHE);
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LAST_WAIT_MS, wait * 2)) {
    try {
      return await cache.fetch({ url, digest, token: readToken(rest.PURSER_ARTIFACT_TOKEN_FILE) });
    } catch (error) {
      if (error instanceof ArtifactRefused || error instanceof StartError) throw new StartError(error.message);
      console.error(`${(error as Error).message} Trying again.`);
      await sleep(wait);
    }
  }
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new StartError(`PURSER_ARTIFACT_TOKEN_FILE names ${file}, which cannot be read: ${(error as Error).message}.`);
  }
}
