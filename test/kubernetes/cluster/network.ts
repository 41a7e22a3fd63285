// One bridge per cluster and one network namespace per node. The host is the bridge's first address and has routes to pods and services.
// A slot owns 10.201.<slot>.0/24 (nodes), 10.202.<16·slot>.0/20 (pods) and 10.203.<16·slot>.0/20 (services).
import { existsSync, readdirSync } from 'node:fs';
import { run, tryRun } from './machine.ts';

/** Node numbers are 1 to 15, because a slot has sixteen pod ranges. */
export const MAX_NODES = 15;

export const prefixOf = (slot: number): string => `purser${slot}`;
export const hostAddress = (slot: number): string => `10.201.${slot}.1`;
export const nodeAddress = (slot: number, node: number): string => `10.201.${slot}.${10 + node}`;
export const podRange = (slot: number, node: number): string => `10.202.${16 * slot + node}.0/24`;
export const podRanges = (slot: number): string => `10.202.${16 * slot}.0/20`;
export const serviceRange = (slot: number): string => `10.203.${16 * slot}.0/20`;
/** Kubernetes gives the range's first address to its own API. */
export const apiServiceAddress = (slot: number): string => `10.203.${16 * slot}.1`;
export const dnsServiceAddress = (slot: number): string => `10.203.${16 * slot}.10`;

const namespaceOf = (slot: number, node: number) => `${prefixOf(slot)}-n${node}`;
const linkOf = (slot: number, node: number) => `${prefixOf(slot)}n${node}`;

/** Puts a command into a node's network. */
export const inNetworkOf = (slot: number, node: number): string[] => [
  'nsenter',
  `--net=/run/netns/${namespaceOf(slot, node)}`,
  '--',
];

export async function makeBridge(slot: number): Promise<void> {
  const bridge = prefixOf(slot);
  await run(['ip', 'link', 'add', bridge, 'type', 'bridge']);
  await run(['ip', 'addr', 'add', `${hostAddress(slot)}/24`, 'dev', bridge]);
  await run(['ip', 'link', 'set', bridge, 'up']);
}

/** Throws where this machine lets nobody make them. */
export async function tryBridges(): Promise<void> {
  const name = `pt${process.pid}`;
  await run(['ip', 'link', 'add', name, 'type', 'bridge']);
  await run(['ip', 'link', 'del', name]);
}

export async function makeNodeNetwork(slot: number, node: number): Promise<void> {
  const [namespace, link, inside] = [namespaceOf(slot, node), linkOf(slot, node), inNetworkOf(slot, node)];
  await run(['ip', 'netns', 'add', namespace]);
  await run(['ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace]);
  await run(['ip', 'link', 'set', link, 'master', prefixOf(slot), 'up']);
  await run([...inside, 'ip', 'link', 'set', 'lo', 'up']);
  await run([...inside, 'ip', 'addr', 'add', `${nodeAddress(slot, node)}/24`, 'dev', 'eth0']);
  await run([...inside, 'ip', 'link', 'set', 'eth0', 'up']);
  await run([...inside, 'ip', 'route', 'add', 'default', 'via', hostAddress(slot)]);
  for (let other = 1; other <= MAX_NODES; other++) {
    if (other !== node) await run([...inside, 'ip', 'route', 'add', podRange(slot, other), 'via', nodeAddress(slot, other)]);
  }
  await run(['ip', 'route', 'replace', podRange(slot, node), 'via', nodeAddress(slot, node)]);
}

export async function removeNodeNetwork(slot: number, node: number): Promise<void> {
  await tryRun(['ip', 'link', 'del', linkOf(slot, node)]);
  await tryRun(['ip', 'netns', 'del', namespaceOf(slot, node)]);
  await tryRun(['ip', 'route', 'del', podRange(slot, node)]);
}

/** The host reaches services through one node's kube-proxy. */
export async function routeServicesThrough(slot: number, node: number): Promise<void> {
  await run(['ip', 'route', 'replace', serviceRange(slot), 'via', nodeAddress(slot, node)]);
}

export async function removeNetwork(slot: number): Promise<void> {
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  for (const name of namespaces) {
    const node = new RegExp(`^${prefixOf(slot)}-n(\\d+)$`).exec(name)?.[1];
    if (node !== undefined) await removeNodeNetwork(slot, Number(node));
  }
  await tryRun(['ip', 'link', 'del', prefixOf(slot)]);
}

const CUT = 'purser_cut';

/** What is cut of a node: all of it, or only its pods, so that its cluster goes on and whoever is elsewhere reaches none of them. */
export type CutPart = 'node' | 'pods';

/** Nothing leaves that part and nothing reaches it from outside the node; connections stay open and wait. */
export async function cutNetwork(
  slot: number,
  node: number,
  { part, env }: { readonly part: CutPart; readonly env: Readonly<Record<string, string>> },
): Promise<void> {
  const chain = (hook: string, match: string) =>
    `chain ${hook} { type filter hook ${hook} priority -300; policy accept; ${match} drop; }`;
  const [to, from] = part === 'node' ? ['', ''] : [`ip daddr ${podRange(slot, node)}`, `ip saddr ${podRange(slot, node)}`];
  const rules = `table inet ${CUT} {
    ${chain('prerouting', `iifname "eth0" ${to}`)}
    ${chain('postrouting', `oifname "eth0" ${from}`)}
  }`;
  await run([...inNetworkOf(slot, node), 'nft', '-f', '-'], { input: rules, env });
}

export async function healNetwork(slot: number, node: number, env: Readonly<Record<string, string>>): Promise<void> {
  await run([...inNetworkOf(slot, node), 'nft', 'delete', 'table', 'inet', CUT], { env });
}
