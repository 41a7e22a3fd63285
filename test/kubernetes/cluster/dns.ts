// Names of services for pods: a program of this machine (go/dns.go) behind the service `kube-dns`, where clusters have it.
import { ApiClient } from './api.ts';
import type { ControlPlane } from './control-plane.ts';
import { freePorts } from './machine.ts';
import { dnsServiceAddress, hostAddress } from './network.ts';

const NAMESPACE = 'kube-system';
const PORT = 53;

export async function startDns(plane: ControlPlane, slot: number): Promise<void> {
  const [port = 0] = await freePorts(1);
  plane.startBeside('dns', [`--kubeconfig=${plane.kubeconfig('dns')}`, `--listen=${hostAddress(slot)}:${port}`]);
  const api = await ApiClient.of(plane.kubeconfig('admin'));
  await api.create(`/api/v1/namespaces/${NAMESPACE}/services`, {
    metadata: { name: 'kube-dns' },
    spec: { clusterIP: dnsServiceAddress(slot), ports: [{ name: 'dns', port: PORT, protocol: 'UDP' }] },
  });
  await api.create(`/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`, {
    metadata: { name: 'kube-dns', labels: { 'kubernetes.io/service-name': 'kube-dns' } },
    addressType: 'IPv4',
    ports: [{ name: 'dns', port, protocol: 'UDP' }],
    endpoints: [{ addresses: [hostAddress(slot)], conditions: { ready: true } }],
  });
  await api.close();
}
