// What Azure keeps of agent pools and scale sets, and how it shows them.
import type { AgentPoolProperties } from './azure-double-shapes.ts';

export const SUBSCRIPTION = '00000000-1111-4222-8333-444444444444';
export const GROUPS = `/subscriptions/${SUBSCRIPTION}/resourceGroups`;

export interface Vm {
  readonly number: number;
  readonly createdAt: number;
  readonly isBroken: boolean;
  leavesAt: number | null;
}

export interface Group {
  readonly name: string;
  readonly folder: string;
  readonly madeAt: number;
  tags: Record<string, string>;
  sku: string;
  count: number;
  version: number;
  state: 'Succeeded' | 'Updating' | 'Failed' | 'Deleting';
  stateUntil: number;
  vms: Vm[];
  made: number;
  /** Of an agent pool. */
  agents: { properties: AgentPoolProperties; readonly pool: string } | null;
}

const folderOf = ({ folder, name }: Group): string =>
  `${GROUPS}/${folder}/providers/Microsoft.Compute/virtualMachineScaleSets/${name}`;
export const idOf = (group: Group, { number }: Vm): string => `${folderOf(group)}/virtualMachines/${number}`;
export const nodeNameOf = ({ name }: Group, { number }: Vm): string => `${name}${number.toString(36).padStart(6, '0')}`;

export const scaleSetOf = (group: Group) => ({
  ...{ id: folderOf(group), name: group.name, location: 'eastus', etag: `"${group.version}"`, tags: group.tags },
  sku: { name: group.sku, tier: 'Standard', capacity: group.count },
  properties: { provisioningState: group.state, uniqueId: group.name },
});

export const agentPoolOf = (group: Group) => ({
  id: `${GROUPS}/rg/providers/Microsoft.ContainerService/managedClusters/east/agentPools/${group.agents?.pool ?? ''}`,
  name: group.agents?.pool,
  properties: {
    ...{ ...group.agents?.properties, count: group.count, provisioningState: group.state, eTag: `"${group.version}"` },
    ...{ powerState: { code: 'Running' }, currentOrchestratorVersion: '1.33.1', nodeImageVersion: 'AKSUbuntu-2204' },
  },
});

export const agentMachineOf = (group: Group, vm: Vm) => ({
  ...{ name: nodeNameOf(group, vm), type: 'Microsoft.ContainerService/managedClusters/agentPools/machines' },
  properties: { network: { ipAddresses: [] }, resourceId: idOf(group, vm) },
});
