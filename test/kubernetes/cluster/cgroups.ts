// A cgroup of its own for each node: in every hierarchy of version 1, or in the one of version 2.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './machine.ts';
import { prefixOf } from './network.ts';

const ROOT = '/sys/fs/cgroup';
const REMOVE_MS = 30_000;

const isVersion2 = () => existsSync(join(ROOT, 'cgroup.controllers'));

/** `unified` is version 2 beside version 1: runc makes its groups there, and nobody needs to before. */
const hierarchies = (): string[] =>
  isVersion2()
    ? [ROOT]
    : readdirSync(ROOT)
        .map((name) => join(ROOT, name))
        .filter((path) => statSync(path).isDirectory());

/** Kubelet's `cgroupRoot` is this name with a slash before it. */
export const cgroupOf = (slot: number, node: string): string => `${prefixOf(slot)}-${node}`;

export function makeCgroup(name: string): void {
  if (isVersion2()) {
    const controllers = readFileSync(join(ROOT, 'cgroup.controllers'), 'utf8').trim().split(' ');
    writeFileSync(join(ROOT, 'cgroup.subtree_control'), controllers.map((controller) => `+${controller}`).join(' '));
  }
  for (const hierarchy of hierarchies())
    if (!hierarchy.endsWith('/unified')) mkdirSync(join(hierarchy, name), { recursive: true });
  if (isVersion2()) return;
  // Children of version 1's cpuset start with no processor and no memory.
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const path = join(ROOT, 'cpuset', file);
    if (existsSync(path)) writeFileSync(join(ROOT, 'cpuset', name, file), readFileSync(path));
  }
}

/** Processes that were just killed hold their cgroup for a moment. */
export async function removeCgroup(name: string): Promise<void> {
  for (const hierarchy of hierarchies()) {
    const path = join(hierarchy, name);
    if (existsSync(path)) await until(`removing ${path}`, REMOVE_MS, () => (removeTree(path), true));
  }
}

/** Of all nodes of a slot. */
export async function removeCgroups(slot: number): Promise<void> {
  const names = hierarchies().flatMap((path) => readdirSync(path).filter((name) => name.startsWith(`${prefixOf(slot)}-`)));
  for (const name of new Set(names)) await removeCgroup(name);
}

function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeTree(join(path, entry.name));
  rmdirSync(path);
}

/** Throws where this machine lets nobody make them. */
export async function tryCgroups(): Promise<void> {
  const name = `purser-trial-${process.pid}`;
  makeCgroup(name);
  await removeCgroup(name);
}
