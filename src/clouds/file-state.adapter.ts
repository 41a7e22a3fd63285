import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StateStore } from './state-store.port.ts';

const VERSION = /^state-(\d{1,15})\.json$/;
/** Versions that stay, for whoever is reading them. Lower: a slow reader finds its file gone, and knows nothing; higher: files. */
const KEPT = 4;

/**
 * State as files of one folder, one per version: only one can be the first to link a number, and the highest number counts. What is answered is on
 * the disk.
 */
export class FileState implements StateStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async load(): Promise<{ version: number; text: string } | null> {
    const version = (await this.#versions()).at(-1);
    return version === undefined ? null : { version, text: await readFile(this.#file(version), 'utf8') };
  }

  async save(text: string, after: number): Promise<boolean> {
    const made = await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    if (made !== undefined) await syncFolder(dirname(made));
    const draft = join(this.#folder, `draft-${randomBytes(8).toString('hex')}`);
    try {
      await writeDown(draft, text);
      if (!(await this.#claim(draft, after + 1))) return false;
    } finally {
      await rm(draft, { force: true });
    }
    const versions = await this.#versions();
    await Promise.all(versions.slice(0, -KEPT).map((version) => rm(this.#file(version), { force: true })));
    // Whoever slept while so many numbers went by may have taken one that was tidied away: nobody reads it.
    return (versions.at(-1) ?? 0) <= after + KEPT;
  }

  async #claim(draft: string, version: number): Promise<boolean> {
    try {
      await link(draft, this.#file(version));
      await syncFolder(this.#folder);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }

  /** In order. */
  async #versions(): Promise<number[]> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    });
    return names
      .flatMap((name) => VERSION.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  #file(version: number): string {
    return join(this.#folder, `state-${String(version).padStart(9, '0')}.json`);
  }
}

async function writeDown(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A name is on the disk once its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
