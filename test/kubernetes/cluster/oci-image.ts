// Writes container images as OCI layout archives without an engine: `ctr images import`, `podman load`, `skopeo copy oci-archive:` and
// `docker load` (25 and newer) read them. The same content gives the same digest.
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileEntry, writeTar, type TarEntry } from './tar.ts';

export interface ImageContent {
  /** Layers from the one that changes least to the one that changes most. */
  readonly layers: readonly Iterable<TarEntry>[];
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly workingDirectory?: string;
  /** "uid" or "uid:gid": what runs unprivileged names a number, for Kubernetes' runAsNonRoot. */
  readonly user?: string;
  readonly ports?: readonly number[];
}

export interface BuiltImage {
  /** "name:tag". */
  readonly name: string;
  /** Of the manifest: "sha256:…". */
  readonly digest: string;
  readonly archive: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const OCI = 'application/vnd.oci.image';

/** Writes the archive to a file; nothing of it shows before it is complete. */
export function writeImage(name: string, content: ImageContent, archive: string): BuiltImage {
  mkdirSync(dirname(archive), { recursive: true });
  const folder = mkdtempSync(`${archive}.part-`);
  try {
    const blobs = new Blobs(folder);
    const layers = content.layers.map((entries) => blobs.addTar(entries));
    const config = blobs.addJson(`${OCI}.config.v1+json`, configOf(content, layers));
    const manifest = blobs.addJson(`${OCI}.manifest.v1+json`, {
      schemaVersion: 2,
      mediaType: `${OCI}.manifest.v1+json`,
      config,
      layers,
    });
    const tag = name.slice(name.lastIndexOf(':') + 1);
    const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tag };
    const index = { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests: [{ ...manifest, annotations }] };
    const whole = join(folder, 'archive');
    writeFile(whole, [
      { kind: 'content', name: 'oci-layout', content: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
      { kind: 'content', name: 'index.json', content: Buffer.from(JSON.stringify(index)) },
      ...blobs.entries(),
    ]);
    renameSync(whole, archive);
    return { name, digest: manifest.digest, archive };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function configOf(content: ImageContent, layers: readonly Descriptor[]): object {
  return {
    architecture: { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch,
    os: 'linux',
    config: {
      Entrypoint: content.entrypoint,
      ...(content.command && { Cmd: content.command }),
      Env: Object.entries({ PATH: '/usr/local/bin:/usr/bin:/bin', ...content.env }).map(([key, value]) => `${key}=${value}`),
      ...(content.workingDirectory && { WorkingDir: content.workingDirectory }),
      ...(content.user && { User: content.user }),
      ...(content.ports && { ExposedPorts: Object.fromEntries(content.ports.map((port) => [`${port}/tcp`, {}])) }),
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
    history: layers.map(() => ({ created_by: 'purser' })),
  };
}

/** Blobs wait on disk: a layer may be larger than what one would like to hold in memory. */
class Blobs {
  readonly #folder: string;
  readonly #paths = new Map<string, string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  addTar(entries: Iterable<TarEntry>): Descriptor {
    const path = join(this.#folder, `blob-${this.#paths.size}`);
    return this.#keep(path, `${OCI}.layer.v1.tar`, writeFile(path, entries));
  }

  addJson(mediaType: string, value: object): Descriptor {
    const path = join(this.#folder, `blob-${this.#paths.size}`);
    const bytes = Buffer.from(JSON.stringify(value));
    const hash = writeChunks(path, (sink) => sink(bytes));
    return this.#keep(path, mediaType, hash);
  }

  #keep(path: string, mediaType: string, hash: string): Descriptor {
    this.#paths.set(hash, path);
    return { mediaType, digest: `sha256:${hash}`, size: statSync(path).size };
  }

  *entries(): Generator<TarEntry> {
    for (const [hash, path] of this.#paths) yield fileEntry(path, `blobs/sha256/${hash}`);
  }
}

const writeFile = (path: string, entries: Iterable<TarEntry>): string => writeChunks(path, (sink) => writeTar(entries, sink));

/** Gives the SHA-256 of what was written. */
function writeChunks(path: string, produce: (sink: (chunk: Buffer) => void) => void): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'w', 0o644);
  try {
    produce((chunk) => {
      hash.update(chunk);
      writeSync(file, chunk);
    });
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}
