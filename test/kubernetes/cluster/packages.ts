// containerd, runc, the CNI plugins and nft: from Debian's packages, unpacked into the cache without installing them.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { findProgram, isRoot, log, run, tryRun } from './machine.ts';

const PACKAGES = ['containerd', 'runc', 'containernetworking-plugins', 'nftables', 'iproute2', 'util-linux'];

/** What a node needs, in the order of preference: unpacked, then the machine's own. */
export interface NodeRuntime {
  readonly path: string;
  readonly libraries: string;
  readonly runc: string;
  readonly networkPlugins: string;
}

/** Throws where there is no Debian to ask. */
export async function nodeRuntime(): Promise<NodeRuntime> {
  const root = await cached(`packages-${(await release()).trim().replace(/\s+/g, '-')}`, unpack);
  const folders = ['usr/local/bin', 'usr/bin', 'usr/sbin', 'bin', 'sbin'].map((name) => join(root, name));
  const library = readdirSync(join(root, 'usr', 'lib')).find((name) => name.endsWith('-linux-gnu')) ?? '.';
  return {
    path: [...folders, process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].join(':'),
    libraries: join(root, 'usr', 'lib', library),
    runc: await firstOf([join(root, 'usr/sbin/runc'), join(root, 'usr/bin/runc'), findProgram('runc') ?? '']),
    networkPlugins: await firstOf([join(root, 'usr/lib/cni'), '/usr/lib/cni', '/opt/cni/bin']),
  };
}

const release = () => run(['sh', '-c', '. /etc/os-release && echo $ID $VERSION_ID && dpkg --print-architecture']);

/** Only what the machine lacks: its libraries are used where it has them. */
async function unpack(root: string): Promise<void> {
  log(`fetching ${PACKAGES.join(', ')} (once) …`);
  mkdirSync(join(root, 'usr', 'lib'), { recursive: true });
  const archives = join(root, 'archives');
  await download(archives).catch(async (error: unknown) => {
    // The lists may be missing or older than the packages.
    if (!isRoot() || !(await tryRun(['apt-get', 'update', '-qq']))) throw error;
    await download(archives);
  });
  for (const archive of readdirSync(archives)) await run(['dpkg', '-x', join(archives, archive), root]);
  rmSync(archives, { recursive: true });
}

async function download(folder: string): Promise<void> {
  const missing = await missingPackages();
  mkdirSync(folder, { recursive: true });
  if (missing.length > 0) await run(['apt-get', 'download', '-q', ...missing], { cwd: folder });
}

async function missingPackages(): Promise<string[]> {
  const plan = await run(['apt-get', 'install', '--simulate', '-qq', '--no-install-recommends', ...PACKAGES], {
    env: { LC_ALL: 'C' },
  });
  return [...plan.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '');
}

async function firstOf(paths: readonly string[]): Promise<string> {
  for (const path of paths) if (path !== '' && (await tryRun(['test', '-e', path]))) return path;
  throw new Error(`none of ${paths.join(', ')} is there`);
}
