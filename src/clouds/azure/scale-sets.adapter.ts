import { z } from 'zod';
import type { Instant } from '../../kernel/instant.ts';
import type { CloudPool } from '../cloud-provider.port.ts';
import type { ArmClient } from './arm-client.adapter.ts';
import { bareRegion, settingOf, stateOf, zonesOf, type AzureMachine, type AzurePool } from './azure-pool.ts';
import type { AzurePools, PoolChange } from './azure-pools.port.ts';
import type { AzureSettings } from './azure-settings.adapter.ts';
import { scaleSetNames, TAG, type PoolNames, type Tags } from './pool-names.ts';
import { COMPUTE_VERSION, listMachines } from './scale-set-machines.adapter.ts';

const VERSION = { 'api-version': COMPUTE_VERSION };
const PROVIDER = 'providers/Microsoft.Compute/virtualMachineScaleSets';

const ScaleSet = z.object({
  id: z.string(),
  etag: z.string().optional(),
  sku: z.object({ name: z.string(), capacity: z.number().int().min(0) }),
  tags: z.record(z.string(), z.string()).nullish(),
  properties: z.object({ provisioningState: z.string() }),
});

/** Scale sets of machines that join a cluster by a script of the operator's own. */
export class ScaleSets implements AzurePools {
  readonly kind = 'scale-set';
  readonly #arm: ArmClient;
  readonly #folder: string | null;

  constructor(arm: ArmClient, { scaleSets }: AzureSettings) {
    this.#arm = arm;
    this.#folder = scaleSets && `${arm.subscription}/resourceGroups/${scaleSets.resourceGroup}/${PROVIDER}`;
  }

  async all(): Promise<AzurePool[]> {
    if (this.#folder === null) return [];
    const found = await this.#arm.list(this.#folder, VERSION, ScaleSet);
    // Those of AKS carry the tags of their agent pools.
    return found.map(poolOf).filter(({ tags }) => TAG.pool in tags && !('aks-managed-poolName' in tags));
  }

  async at(path: string): Promise<AzurePool | null> {
    const found = await this.#arm.rest.askIfThere({ path, query: VERSION }, ScaleSet);
    return found && poolOf(found);
  }

  outOfReach(): string | null {
    return this.#folder === null ? 'the configuration names no resource group for scale sets, and the pool no cluster' : null;
  }

  pathsFor(pool: CloudPool, now: Instant): PoolNames | string {
    const problem = this.outOfReach();
    if (problem !== null) return problem;
    const missing = ['image', 'subnet', 'sshPublicKey'].filter((name) => settingOf(pool, name) === null);
    if (!pool.instanceType || !pool.region) return 'the pool has no instance type or no region';
    if (missing.length > 0) return `the pool has no setting ${missing.join(', ')}`;
    const names = scaleSetNames(pool.key, now);
    return { now: `${this.#folder}/${names.now}`, before: `${this.#folder}/${names.before}` };
  }

  create(pool: CloudPool, path: string, tags: Tags): Promise<PoolChange> {
    const zones = zonesOf(pool);
    const body = {
      location: bareRegion(pool.region ?? ''),
      sku: skuOf(pool.instanceType, 0),
      tags,
      ...(zones.length > 0 ? { zones } : {}),
      properties: {
        ...{ orchestrationMode: 'Uniform', overprovision: false, singlePlacementGroup: false },
        // Machines that run stay as they are.
        upgradePolicy: { mode: 'Manual' },
        virtualMachineProfile: profileOf(pool, path.split('/').at(-1) ?? ''),
      },
    };
    return this.#arm.change({ method: 'PUT', path, query: VERSION, body, headers: { 'if-none-match': '*' } });
  }

  describe(found: AzurePool, pool: CloudPool, tags: Tags): Promise<PoolChange> {
    const { osProfile, storageProfile } = profileOf(pool, '');
    const virtualMachineProfile = {
      osProfile: { customData: osProfile.customData },
      storageProfile: { imageReference: storageProfile.imageReference },
    };
    return this.#patch(found, { sku: skuOf(pool.instanceType, found.count), tags, properties: { virtualMachineProfile } });
  }

  raise(found: AzurePool, tags: Tags): Promise<PoolChange> {
    return this.#patch(found, { tags });
  }

  resize(found: AzurePool, count: number, tags: Tags): Promise<PoolChange> {
    return this.#patch(found, { sku: skuOf(String(found.body['name']), count), tags });
  }

  release({ path }: AzurePool, machines: readonly AzureMachine[]): Promise<PoolChange> {
    const body = { instanceIds: machines.map(({ ref }) => ref) };
    return this.#arm.change({ method: 'POST', path: `${path}/delete`, query: VERSION, body });
  }

  remove({ path }: AzurePool): Promise<PoolChange> {
    return this.#arm.change({ method: 'DELETE', path, query: VERSION });
  }

  machines({ path }: AzurePool): Promise<AzureMachine[]> {
    return listMachines(this.#arm, path);
  }

  #patch(
    { path, tags, etag }: AzurePool,
    change: { readonly tags: Tags } & Readonly<Record<string, unknown>>,
  ): Promise<PoolChange> {
    const headers: Record<string, string> = etag === null ? {} : { 'if-match': etag };
    const body = { ...change, tags: { ...tags, ...change.tags } };
    return this.#arm.change({ method: 'PATCH', path, query: VERSION, body, headers });
  }
}

const skuOf = (name: string | null, capacity: number) => ({ name, tier: 'Standard', capacity });

const poolOf = ({ id, etag, sku, tags, properties }: z.infer<typeof ScaleSet>): AzurePool => ({
  kind: 'scale-set',
  path: id,
  etag: etag ?? null,
  state: stateOf(properties.provisioningState),
  count: sku.capacity,
  tags: tags ?? {},
  body: { name: sku.name },
});

function profileOf(pool: CloudPool, name: string) {
  const userData = settingOf(pool, 'userData')?.replaceAll('{labels}', labelsText(pool));
  const adminUsername = settingOf(pool, 'adminUsername') ?? 'purser';
  const keyData = settingOf(pool, 'sshPublicKey');
  const disk = settingOf(pool, 'diskGib');
  const subnet = { id: settingOf(pool, 'subnet') };
  const ipConfigurations = [{ name: 'main', properties: { subnet } }];
  return {
    ...(pool.capacityType === 'spot' ? { priority: 'Spot', evictionPolicy: 'Delete', billingProfile: { maxPrice: -1 } } : {}),
    osProfile: {
      ...{ computerNamePrefix: name, adminUsername },
      ...(userData === undefined ? {} : { customData: Buffer.from(userData).toString('base64') }),
      linuxConfiguration: {
        disablePasswordAuthentication: true,
        ssh: { publicKeys: [{ path: `/home/${adminUsername}/.ssh/authorized_keys`, keyData }] },
      },
    },
    storageProfile: {
      imageReference: imageOf(settingOf(pool, 'image') ?? ''),
      osDisk: { createOption: 'FromImage', ...(disk ? { diskSizeGB: Number(disk) } : {}) },
    },
    networkProfile: {
      networkInterfaceConfigurations: [{ name: 'main', properties: { primary: true, ipConfigurations } }],
    },
  };
}

/** A resource, or `publisher:offer:sku:version`. */
function imageOf(image: string): Readonly<Record<string, string>> {
  const [publisher = '', offer = '', sku = '', version = 'latest'] = image.split(':');
  return image.startsWith('/') ? { id: image } : { publisher, offer, sku, version };
}

const labelsText = ({ labels }: CloudPool): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(',');
