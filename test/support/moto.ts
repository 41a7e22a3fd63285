import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';

const START_DEADLINE_MS = 60_000;

/** `moto_server` (pip install "moto[server]"), as `.ci/run` keeps it or as the machine has it; null where neither is. */
export function findMoto(): string | null {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const kept = join(cache, 'purser-ci', 'moto-5.2.5', 'bin', 'moto_server');
  if (existsSync(kept)) return kept;
  return spawnSync('moto_server', ['--help'], { stdio: 'ignore' }).status === 0 ? 'moto_server' : null;
}

export interface Moto {
  readonly url: string;
  /** Forgets everything. */
  reset(): Promise<void>;
  stop(): void;
}

/** A server that answers as AWS does, with nothing in it, on a free port of an address of this machine. */
export async function startMoto(program: string, address = '127.0.0.1'): Promise<Moto> {
  const port = await freePort(address);
  const child = spawn(program, ['-H', address, '-p', String(port)], { stdio: 'ignore', detached: true });
  const url = `http://${address}:${port}`;
  const reset = async (): Promise<void> => {
    const { ok } = await fetch(`${url}/moto-api/reset`, { method: 'POST' });
    if (!ok) throw new Error('moto does not forget');
  };
  await eventually(reset, START_DEADLINE_MS);
  return {
    ...{ url, reset },
    stop: () => {
      // The shim that starts it may have a child of its own: the group ends as one.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    },
  };
}

function freePort(address: string): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, address, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
