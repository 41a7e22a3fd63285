import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CommandFailure, EXIT } from './exit-codes.ts';

export interface Context {
  readonly url: string;
  readonly token: string;
}

interface ContextFile {
  readonly current: string | null;
  readonly contexts: Readonly<Record<string, Context>>;
}

const filePath = (env: NodeJS.ProcessEnv): string =>
  env.PURSER_CONFIG ?? join(env.XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'purser', 'contexts.json');

export function readContexts(env: NodeJS.ProcessEnv): ContextFile {
  const path = filePath(env);
  if (!existsSync(path)) return { current: null, contexts: {} };
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ContextFile;
  } catch {
    throw new CommandFailure(`${path} is no JSON; remove it and sign in again.`, EXIT.FAILED);
  }
}

/** Written whole and renamed, readable by its owner only: it holds tokens. */
export function writeContexts(env: NodeJS.ProcessEnv, file: ContextFile): void {
  const path = filePath(env);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // The default folder is ours alone; one that the user named is theirs.
  if (env.PURSER_CONFIG === undefined) chmodSync(dirname(path), 0o700);
  // What an interrupted write left may be readable by others.
  rmSync(`${path}.new`, { force: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(`${path}.new`, path);
}

/**
 * Where to speak to, in this order: the named context, `PURSER_URL` with `PURSER_TOKEN`, the current context, and last the admin token
 * of an installation in this folder.
 */
export function resolveContext(env: NodeJS.ProcessEnv, named: string | undefined): Context {
  const { current, contexts } = readContexts(env);
  const context = named === undefined ? (variables(env) ?? contexts[current ?? ''] ?? localContext(env)) : contexts[named];
  if (context) return context;
  throw new CommandFailure(
    named === undefined
      ? 'Not signed in. Run: purser login --url URL --token-file FILE'
      : `No context "${named}". See: purser context list`,
    EXIT.UNAUTHENTICATED,
  );
}

function variables({ PURSER_URL, PURSER_TOKEN }: NodeJS.ProcessEnv): Context | undefined {
  return PURSER_URL && PURSER_TOKEN ? { url: PURSER_URL, token: PURSER_TOKEN } : undefined;
}

function localContext(env: NodeJS.ProcessEnv): Context | undefined {
  const tokenFile = join(env.PURSER_DATA_DIR ?? '.purser', 'admin-token');
  if (!existsSync(tokenFile)) return undefined;
  return { url: `http://127.0.0.1:${env.PURSER_PORT ?? '4000'}`, token: readFileSync(tokenFile, 'utf8').trim() };
}
