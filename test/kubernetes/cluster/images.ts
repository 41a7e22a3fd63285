// The images of the tests: one small program under two names, and the project's own Node with any folder beside it.
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { cached, cacheFolder, digestOf, repository } from './cache.ts';
import { run } from './machine.ts';
import { writeImage, type BuiltImage, type ImageContent } from './oci-image.ts';
import { containerProgram } from './programs.ts';
import { fileEntry, folderEntries, type TarEntry } from './tar.ts';

export const PAUSE_IMAGE = 'purser.test/pause:1';
/** Serves HTTP on 8080 and misbehaves on demand; container/main.go says how. */
export const TEST_IMAGE = 'purser.test/container:1';

/** Nobody in particular: not root, and no one's files. */
const USER = '65532';

const EMPTY_FOLDERS: readonly TarEntry[] = [
  ...['dev', 'etc', 'proc', 'sys'].map((name) => ({ kind: 'folder' as const, name })),
  { kind: 'folder', name: 'tmp', mode: 0o1777 },
];

export async function testImages(): Promise<readonly BuiltImage[]> {
  const program = await containerProgram();
  const folder = await cached(`images-${digestOf(dirname(program), 'v1')}`, (target) => {
    const layers: TarEntry[][] = [[...EMPTY_FOLDERS, fileEntry(program, 'container')]];
    const pause = writeImage(PAUSE_IMAGE, { layers, entrypoint: ['/container', 'pause'], user: USER }, join(target, 'pause.tar'));
    const test = writeImage(
      TEST_IMAGE,
      { layers, entrypoint: ['/container'], command: ['serve'], user: USER, ports: [8080] },
      join(target, 'container.tar'),
    );
    writeFileSync(join(target, 'images.json'), JSON.stringify([pause, test]));
    return Promise.resolve();
  });
  const built = JSON.parse(readFileSync(join(folder, 'images.json'), 'utf8')) as BuiltImage[];
  return built.map((image) => ({ ...image, archive: join(folder, basename(image.archive)) }));
}

export interface NodeImageOptions extends Omit<ImageContent, 'layers'> {
  readonly name: string;
  /** Layers on top of Node, in the order of how seldom they change. */
  readonly layers: readonly Iterable<TarEntry>[];
  readonly archive: string;
  /** Native code in the layers, as it lies here, whose shared libraries are needed too. */
  readonly native?: readonly string[];
}

/** An image with Node at /usr/local/bin/node, the shared libraries that it names, the machine's certificate authorities, and `layers`. */
export async function writeNodeImage(options: NodeImageOptions): Promise<BuiltImage> {
  const { name, archive, layers, native = [], ...rest } = options;
  return writeImage(name, { user: USER, ...rest, layers: [await nodeLayer(native), ...layers] }, archive);
}

/** Any folder, run by the project's Node: `entry` is a path inside the folder. */
export async function folderImage(options: {
  name: string;
  folder: string;
  entry: string;
  archive?: string;
}): Promise<BuiltImage> {
  const archive = options.archive ?? join(cacheFolder(), `${options.name.replaceAll(/[^\w.-]/g, '_')}.tar`);
  return writeNodeImage({
    name: options.name,
    archive,
    layers: [folderEntries(options.folder, 'app')],
    entrypoint: ['/usr/local/bin/node', `/app/${options.entry}`],
    workingDirectory: '/app',
  });
}

/** The Node of the lockfile with what `ldd` says that it and other native code need. */
export async function nodeLayer(native: readonly string[] = []): Promise<TarEntry[]> {
  const node = realpathSync(join(repository, 'node_modules', 'node', 'bin', 'node'));
  const found = await Promise.all([node, ...native].map(sharedLibraries));
  // What lies beside native code comes with it.
  const beside = native.map((path) => `${dirname(path)}/`);
  const libraries = [...new Set(found.flat())].filter((path) => !beside.some((folder) => path.startsWith(folder))).sort();
  const certificates = '/etc/ssl/certs/ca-certificates.crt';
  return [
    ...EMPTY_FOLDERS,
    { kind: 'content', name: 'etc/passwd', content: Buffer.from(`root:x:0:0::/:/none\npurser:x:${USER}:${USER}::/tmp:/none\n`) },
    { kind: 'content', name: 'etc/group', content: Buffer.from(`root:x:0:\npurser:x:${USER}:\n`) },
    ...(existsSync(certificates) ? [fileEntry(certificates, certificates.slice(1))] : []),
    ...libraries.map((path) => fileEntry(realpathSync(path), path.slice(1))),
    fileEntry(node, 'usr/local/bin/node'),
  ];
}

/** Where the dynamic loader of the image looks: the very paths that it has here. */
export async function sharedLibraries(program: string): Promise<string[]> {
  const output = await run(['ldd', program]);
  return [...output.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] ?? '').sort();
}
