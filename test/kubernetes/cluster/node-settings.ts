// The configuration files of a node's programs.
import { join } from 'node:path';
import { cgroupOf } from './cgroups.ts';
import { PAUSE_IMAGE } from './images.ts';
import { dnsServiceAddress, podRange, podRanges } from './network.ts';
import type { NodeRuntime } from './packages.ts';

export interface NodeSettings {
  readonly slot: number;
  readonly number: number;
  readonly name: string;
  readonly folder: string;
  readonly authority: string;
  readonly proxyKubeconfig: string;
  readonly runtime: NodeRuntime;
  readonly snapshotter: string;
  readonly shape: NodeShape;
}

/** What a node is to look like from outside. */
export interface NodeShape {
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  /** Taken from what the machine has, so that a node can be small: { cpu: '1500m', memory: '20Gi' }. */
  readonly reserved?: Readonly<Record<string, string>>;
  readonly maxPods?: number;
  /** For example "aws:///eu-central-1a/i-0123456789abcdef0". */
  readonly providerId?: string;
}

export const socketOf = (folder: string): string => join(folder, 'run', 'containerd.sock');

export function containerdSettings({ folder, runtime, snapshotter }: NodeSettings): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${folder}/containerd"
state = "${folder}/run/containerd"
oom_score = 0
[grpc]
  address = "${socketOf(folder)}"
[ttrpc]
  address = "${folder}/run/containerd.ttrpc.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "${folder}/opt"
[${cri}]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [${cri}.containerd]
    snapshotter = "${snapshotter}"
    default_runtime_name = "runc"
    [${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [${cri}.containerd.runtimes.runc.options]
        BinaryName = "${runtime.runc}"
        Root = "${folder}/run/runc"
        SystemdCgroup = false
  [${cri}.cni]
    bin_dir = "${runtime.networkPlugins}"
    conf_dir = "${folder}/network"
`;
}

export function podNetworkSettings({ folder, slot, number }: NodeSettings): string {
  const addresses = {
    type: 'host-local',
    dataDir: `${folder}/addresses`,
    ranges: [[{ subnet: podRange(slot, number) }]],
    routes: [{ dst: '0.0.0.0/0' }],
  };
  const bridge = { type: 'bridge', bridge: 'pods0', isGateway: true, ipMasq: false, hairpinMode: true, ipam: addresses };
  return JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins: [bridge] });
}

export function kubeletSettings(settings: NodeSettings): string {
  const { folder, slot, name, authority, shape } = settings;
  return JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: '0.0.0.0',
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: authority } },
    authorization: { mode: 'Webhook' },
    containerRuntimeEndpoint: `unix://${socketOf(folder)}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroupOf(slot, name)}`,
    failCgroupV1: false,
    cgroupsPerQOS: true,
    enforceNodeAllocatable: ['pods'],
    protectKernelDefaults: true,
    failSwapOn: false,
    makeIPTablesUtilChains: false,
    oomScoreAdj: 0,
    maxOpenFiles: 20_000,
    resolvConf: '',
    clusterDomain: 'cluster.local',
    clusterDNS: [dnsServiceAddress(slot)],
    podLogsDir: `${folder}/pod-logs`,
    volumePluginDir: `${folder}/volume-plugins`,
    evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'imagefs.available': '1%', 'nodefs.inodesFree': '1%' },
    imageGCHighThresholdPercent: 100,
    // Images come by hand: one that nobody uses for a while must not go.
    imageMinimumGCAge: '24h',
    nodeStatusUpdateFrequency: '5s',
    nodeLeaseDurationSeconds: 8,
    ...(shape.taints && { registerWithTaints: shape.taints }),
    ...(shape.reserved && { systemReserved: shape.reserved }),
    ...(shape.maxPods !== undefined && { maxPods: shape.maxPods }),
    ...(shape.providerId !== undefined && { providerID: shape.providerId }),
  });
}

export function proxySettings({ name, slot, proxyKubeconfig }: NodeSettings): string {
  return JSON.stringify({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    clientConnection: { kubeconfig: proxyKubeconfig },
    clusterCIDR: podRanges(slot),
    detectLocalMode: 'ClusterCIDR',
    hostnameOverride: name,
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  });
}
