import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A unix socket's path is at most 107 bytes. */
const SOCKET_PATH_BYTES = 107;

/** Where a runtime keeps what it must not lose. */
export interface RuntimePaths {
  /** Mode 0700: the socket, the records, the logs, the cache of artifacts. */
  readonly folder: string;
  readonly socket: string;
  /** Replicas' private folders; as root below a place that every user can pass through. */
  readonly homes: string;
  /** As root: programs that replicas run, readable for their users. */
  readonly programs: string;
  /** As root: which project has which user, for the whole machine. */
  readonly users: string;
}

export function runtimePaths(dataDir: string, isRoot: boolean, shared = '/var/lib/purser'): RuntimePaths {
  const folder = join(dataDir, 'runtime');
  const key = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
  const open = isRoot ? shared : folder;
  const near = join(folder, 'socket');
  return {
    folder,
    socket: Buffer.byteLength(near) < SOCKET_PATH_BYTES ? near : join(tmpdir(), `purser-${key}`, 'socket'),
    homes: join(open, 'replicas', key),
    programs: join(open, 'programs'),
    users: join(open, 'project-users.json'),
  };
}

/** Others may pass through the folders of homes but not list them, whatever the umask is; each home is its user's alone. */
export function prepareHomes({ homes }: RuntimePaths): void {
  for (const folder of [dirname(homes), homes]) {
    mkdirSync(folder, { recursive: true, mode: 0o711 });
    chmodSync(folder, 0o711);
  }
}

/** Writes so that after a crash there is the old text or the new one, never a piece. */
export function writeDurably(path: string, text: string): void {
  const file = openSync(`${path}.new`, 'w', 0o600);
  writeSync(file, text);
  fsyncSync(file);
  closeSync(file);
  renameSync(`${path}.new`, path);
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

export function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** A folder of JSON files by id. */
export class RecordFolder<T> {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  all(): readonly T[] {
    return readdirSync(this.#folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(readFileSync(join(this.#folder, name), 'utf8')) as T);
  }

  put(id: string, record: T): void {
    writeDurably(join(this.#folder, `${id}.json`), JSON.stringify(record));
  }

  delete(id: string): void {
    rmSync(join(this.#folder, `${id}.json`), { force: true });
  }
}
