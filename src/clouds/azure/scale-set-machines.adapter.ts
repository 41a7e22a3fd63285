import { z } from 'zod';
import type { CloudNodePhase } from '../cloud-provider.port.ts';
import type { ArmClient } from './arm-client.adapter.ts';
import type { AzureMachine } from './azure-pool.ts';
import { machineIdOf } from './pool-names.ts';

export const COMPUTE_VERSION = '2024-07-01';

const Status = z.object({ code: z.string(), time: z.string().optional() });
const Machine = z.object({
  id: z.string(),
  instanceId: z.string(),
  properties: z.object({
    provisioningState: z.string(),
    timeCreated: z.string().optional(),
    osProfile: z.object({ computerName: z.string().optional() }).optional(),
    instanceView: z.object({ statuses: z.array(Status).optional() }).optional(),
  }),
});
type Machine = z.infer<typeof Machine>;

/** The machines of a scale set, each once, with what they do. */
export async function listMachines(arm: ArmClient, scaleSet: string): Promise<AzureMachine[]> {
  const query = { 'api-version': COMPUTE_VERSION, $expand: 'instanceView' };
  const machines = await arm.list(`${scaleSet}/virtualMachines`, query, Machine);
  const byId = new Map(machines.map((machine) => [machineIdOf(machine.id) ?? machine.id, machine]));
  return [...byId].map(([instanceId, machine]) => ({
    ...{ instanceId, ref: machine.instanceId, nodeName: machine.properties.osProfile?.computerName?.toLowerCase() ?? null },
    ...lifeOf(machine),
  }));
}

type Life = Pick<AzureMachine, 'phase' | 'since' | 'isBroken'>;

function lifeOf({ properties }: Machine): Life {
  const { provisioningState, timeCreated, instanceView } = properties;
  const statuses = instanceView?.statuses ?? [];
  const power = statuses.find(({ code }) => code.startsWith('PowerState/'))?.code.slice('PowerState/'.length) ?? 'unknown';
  const phase = phaseOf(provisioningState, power);
  const provisioned = statuses.find(({ code }) => code === 'ProvisioningState/succeeded')?.time;
  const isOff = power === 'deallocated' || power === 'stopped';
  return {
    phase,
    since: instantOf({ running: provisioned, starting: timeCreated }[phase as string]),
    // What could not be made, or was switched off, never becomes a node again.
    isBroken: isOff || (provisioningState === 'Failed' && power !== 'running'),
  };
}

const instantOf = (text: string | undefined): number | null => (text === undefined ? null : Date.parse(text) || null);

function phaseOf(provisioningState: string, power: string): CloudNodePhase {
  if (provisioningState === 'Deleting' || power === 'deallocating' || power === 'stopping') return 'stopping';
  return power === 'running' ? 'running' : 'starting';
}
