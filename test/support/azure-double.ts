// Azure Resource Manager as its public reference describes it, as far as pools need it: agent pools, scale sets and their machines, changes that
// take a while (Azure-AsyncOperation, Location), etags, lists in pages that show what is new late, health annotations.
import { agentMachineOf, agentPoolOf, GROUPS, idOf, nodeNameOf, scaleSetOf, type Group, type Vm } from './azure-double-groups.ts';
import {
  AgentPoolBody,
  DeleteInstancesBody,
  DeleteMachinesBody,
  GraphBody,
  ScaleSetBody,
  ScaleSetPatch,
  type AgentPoolProperties,
} from './azure-double-shapes.ts';
import { DoubleRefusal, HttpDouble, strictly, type DoubleAnswer, type DoubleRequest, type DoubleRoute } from './http-double.ts';

export const TOKEN = 'azure-token';
const NODE_GROUP = 'MC_rg_east_eastus';
const AKS_VERSION = '2025-01-01';
const COMPUTE_VERSION = '2024-07-01';
/** Machines come and go in so long, other changes work or fail in so long; what was made shows in lists after the last. */
const [WORKS_MS, QUICK_MS, LATE_MS] = [30_000, 5_000, 20_000];
const PAGE = 2;

interface Operation {
  readonly endsAt: number;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export class AzureDouble {
  readonly http: HttpDouble;
  now = Date.parse('2026-06-01T00:00:00Z');
  stock = 100;
  quota = 100;
  readonly preempted: { readonly target: string; readonly occurredAt: string }[] = [];
  /** What was written last to each path. */
  readonly written = new Map<string, unknown>();
  /** From now on the first machine that is asked for cannot be made. */
  breaks = false;
  /** Lists show nothing. */
  hides = false;
  /** Somebody else changes each pool right after it was looked at. */
  touches = false;
  /** Lists of machines leave out so many of the last. */
  unlisted = 0;
  /** The first page of each list is empty. */
  emptyFirst = false;
  readonly #groups = new Map<string, Group>();
  readonly #operations: Operation[] = [];

  constructor(more: readonly DoubleRoute[] = []) {
    this.http = new HttpDouble({
      routes: [...this.#routes(), ...more],
      words: (_, code, message) => ({ error: { code, message } }),
      token: TOKEN,
    });
  }

  pass(ms = 120_000): void {
    this.now += ms;
    this.#tick();
  }

  /** Of all pools. */
  names(): string[] {
    return [...this.#groups.values()].map(({ name }) => name);
  }

  /** Somebody else made what there is. */
  disown(): void {
    for (const group of this.#groups.values()) {
      group.tags = {};
      if (group.agents) group.agents.properties = { ...group.agents.properties, tags: {} };
    }
  }

  /** Somebody writes a tag onto every pool. */
  mark(name: string, value: string): void {
    for (const group of this.#groups.values()) {
      group.tags = { ...group.tags, [name]: value };
      if (group.agents) group.agents.properties = { ...group.agents.properties, tags: group.tags };
    }
  }

  /** Machines that pools were told to have. */
  sizes(): number[] {
    return [...this.#groups.values()].map(({ count }) => count);
  }

  #listed({ vms }: Group): Vm[] {
    return vms.slice(0, vms.length - this.unlisted);
  }

  /** A scale set of somebody else, with one machine. */
  addStranger(name: string): void {
    this.#make(name, 'theirs', 'Standard_D2s_v5').vms.push({ number: 0, createdAt: this.now, isBroken: false, leavesAt: null });
  }

  /** Azure takes the machine: an annotation now, and `pass` takes it away. */
  preempt(instanceId: string): void {
    const group = [...this.#groups.values()].find(({ name }) => instanceId.startsWith(`${name}_`));
    const vm = group?.vms.find(({ number }) => `${group.name}_${number}` === instanceId);
    if (!group || !vm) throw new Error(`there is no ${instanceId}`);
    this.preempted.push({ target: idOf(group, vm), occurredAt: new Date(this.now).toISOString() });
    vm.leavesAt = this.now + WORKS_MS;
    group.count -= 1;
  }

  #tick(): void {
    for (const [key, group] of this.#groups) {
      group.vms = group.vms.filter(({ leavesAt }) => leavesAt === null || leavesAt > this.now);
      if (group.stateUntil > this.now) continue;
      if (group.state === 'Deleting') this.#groups.delete(key);
      else if (group.state === 'Updating') group.state = 'Succeeded';
    }
  }

  #routes(): DoubleRoute[] {
    const cluster = String.raw`^${GROUPS}/rg/providers/Microsoft\.ContainerService/managedClusters/east/agentPools`;
    const sets = String.raw`^${GROUPS}/(?<group>[^/]+)/providers/Microsoft\.Compute/virtualMachineScaleSets`;
    const route = (
      method: string,
      path: string,
      answer: DoubleRoute['answer'],
      more: Partial<DoubleRoute> = {},
    ): DoubleRoute => ({
      ...{ method, path: new RegExp(`${path}$`), query: ['api-version', '$skiptoken'], ...more },
      answer: (request) => {
        this.#tick();
        const wanted = path.startsWith(cluster) ? AKS_VERSION : path.startsWith(sets) ? COMPUTE_VERSION : null;
        if (wanted !== null && request.query.get('api-version') !== wanted)
          throw new DoubleRefusal(400, 'MissingApiVersionParameter', 'The api-version query parameter is required.');
        if (method !== 'GET' && this.touches) for (const group of this.#groups.values()) group.version += 1;
        if (method !== 'GET') this.written.set(request.path, request.body);
        return answer(request);
      },
    });
    return [
      route('GET', cluster, (request) => this.#page(request, this.#agentPools().map(agentPoolOf))),
      route('GET', `${cluster}/(?<pool>[^/]+)`, ({ names }) => ({ body: agentPoolOf(this.#agentPool(names['pool'])) })),
      route('PUT', `${cluster}/(?<pool>[^/]+)`, (request) => this.#putAgentPool(request)),
      route('DELETE', `${cluster}/(?<pool>[^/]+)`, ({ names }) => this.#remove(this.#agentPool(names['pool']))),
      route('GET', `${cluster}/(?<pool>[^/]+)/machines`, (request) => {
        const group = this.#agentPool(request.names['pool']);
        return this.#page(
          request,
          this.#listed(group).map((vm) => agentMachineOf(group, vm)),
        );
      }),
      route('POST', `${cluster}/(?<pool>[^/]+)/deleteMachines`, ({ names, body }) => {
        const group = this.#agentPool(names['pool']);
        return this.#release(group, strictly(DeleteMachinesBody, body).machineNames, nodeNameOf);
      }),
      route('GET', sets, (request) => this.#page(request, this.#scaleSets(request.names['group']).map(scaleSetOf))),
      route('GET', `${sets}/(?<set>[^/]+)`, ({ names }) => ({ body: scaleSetOf(this.#scaleSet(names)) })),
      route('PUT', `${sets}/(?<set>[^/]+)`, (request) => this.#putScaleSet(request)),
      route('PATCH', `${sets}/(?<set>[^/]+)`, (request) => this.#patchScaleSet(request)),
      route('DELETE', `${sets}/(?<set>[^/]+)`, ({ names }) => this.#remove(this.#scaleSet(names))),
      route('POST', `${sets}/(?<set>[^/]+)/delete`, ({ names, body }) =>
        this.#release(this.#scaleSet(names), strictly(DeleteInstancesBody, body).instanceIds, (_, { number }) => String(number)),
      ),
      route(
        'GET',
        `${sets}/(?<set>[^/]+)/virtualMachines`,
        (request) => {
          const group = this.#scaleSet(request.names);
          return this.#page(
            request,
            this.#listed(group).map((vm) => this.#vmOf(group, vm)),
          );
        },
        { query: ['api-version', '$skiptoken', '$expand'] },
      ),
      route('GET', '^/operations/(?<id>\\d+)', ({ names }) => this.#operation(Number(names['id'])), { query: [] }),
      route('POST', '^/providers/Microsoft.ResourceGraph/resources', (request) => this.#graph(request), { isRead: true }),
    ];
  }

  #agentPools(): Group[] {
    return [...this.#groups.values()].filter((one) => one.agents !== null && this.#isListed(one));
  }

  #agentPool(name = ''): Group {
    const group = [...this.#groups.values()].find(({ agents }) => agents?.pool === name);
    if (!group) throw new DoubleRefusal(404, 'NotFound', `agent pool ${name} is not there`);
    return group;
  }

  #scaleSets(folder = ''): Group[] {
    return [...this.#groups.values()].filter((one) => one.folder === folder && this.#isListed(one));
  }

  #isListed({ madeAt }: Group): boolean {
    return !this.hides && madeAt + LATE_MS <= this.now;
  }

  #scaleSet({ group: folder = '', set = '' }: DoubleRequest['names']): Group {
    const group = this.#groups.get(`${folder}/${set}`);
    if (!group) throw new DoubleRefusal(404, 'ResourceNotFound', `scale set ${set} was not found`);
    return group;
  }

  #putAgentPool({ names, headers, body }: DoubleRequest): DoubleAnswer {
    const { properties } = strictly(AgentPoolBody, body);
    const pool = names['pool'] ?? '';
    if (!/^[a-z][a-z0-9]{0,11}$/.test(pool)) throw new DoubleRefusal(400, 'InvalidParameter', `agent pool name ${pool}`);
    const known = [...this.#groups.values()].find(({ agents }) => agents?.pool === pool);
    if (known) checkAgentPool(known, headers, properties);
    this.#checkQuota(properties.count - (known?.vms.length ?? 0), 'ErrCode_InsufficientVCPUQuota', 400);
    const group = known ?? this.#make(`aks-${pool}-12345678-vmss`, NODE_GROUP, properties.vmSize);
    group.agents = { properties, pool };
    return this.#resize(group, {
      count: properties.count,
      tags: { ...properties.tags, 'aks-managed-poolName': pool },
      failure: { code: 'ReconcileVMSSAgentPoolFailed', message: 'Code="AllocationFailed" Message="no room in the zone"' },
    });
  }

  #putScaleSet({ names, headers, body }: DoubleRequest): DoubleAnswer {
    const { sku, tags = {} } = strictly(ScaleSetBody, body);
    const { group: folder = '', set = '' } = names;
    const known = this.#groups.get(`${folder}/${set}`);
    if (known) checkEtag(known, headers);
    this.#checkQuota(sku.capacity - (known?.vms.length ?? 0), 'OperationNotAllowed', 409);
    return this.#resize(known ?? this.#make(set, folder, sku.name), { count: sku.capacity, tags, failure: ALLOCATION });
  }

  #patchScaleSet({ names, headers, body }: DoubleRequest): DoubleAnswer {
    const group = this.#scaleSet(names);
    const { sku, tags = group.tags } = strictly(ScaleSetPatch, body);
    checkEtag(group, headers);
    this.#checkQuota((sku?.capacity ?? 0) - group.vms.length, 'OperationNotAllowed', 409);
    group.sku = sku?.name ?? group.sku;
    return this.#resize(group, { count: sku?.capacity ?? group.count, tags, failure: ALLOCATION });
  }

  #make(name: string, folder: string, sku: string): Group {
    const group: Group = {
      ...{ name, folder, sku, madeAt: this.now, tags: {}, count: 0, version: 0, state: 'Updating', stateUntil: this.now },
      ...{ vms: [], made: 0, agents: null },
    };
    this.#groups.set(`${folder}/${name}`, group);
    return group;
  }

  #resize(
    group: Group,
    wish: { readonly count: number; readonly tags: Record<string, string>; readonly failure: NonNullable<Operation['error']> },
  ): DoubleAnswer {
    const rented = [...this.#groups.values()].reduce((sum, { vms }) => sum + vms.length, 0);
    const more = wish.count - group.vms.length;
    // Nobody may ask for fewer this way: Azure would choose.
    if (more < 0) throw new Error('a size below what is there');
    const error = more > 0 && rented + more > this.stock ? wish.failure : null;
    group.tags = wish.tags;
    group.count = wish.count;
    const coming = error ? Math.max(0, this.stock - rented) : more;
    for (let n = 0; n < coming; n += 1) {
      group.vms.push({ number: group.made, createdAt: this.now, isBroken: this.breaks && n === 0, leavesAt: null });
      group.made += 1;
    }
    return this.#change(group, error, more === 0 || error ? QUICK_MS : WORKS_MS);
  }

  #release(group: Group, refs: readonly string[], refOf: (group: Group, vm: Vm) => string): DoubleAnswer {
    const vms = refs.map((ref) => group.vms.find((vm) => refOf(group, vm) === ref));
    if (vms.includes(undefined)) throw new DoubleRefusal(400, 'InvalidParameter', `not all of ${refs.join()} are there`);
    const staying = vms.flatMap((vm) => (vm && vm.leavesAt === null ? [vm] : []));
    for (const vm of staying) vm.leavesAt = this.now + WORKS_MS;
    group.count -= staying.length;
    return this.#change(group, null, WORKS_MS);
  }

  #remove(group: Group): DoubleAnswer {
    const answer = this.#change(group, null, WORKS_MS);
    group.state = 'Deleting';
    return { ...answer, status: 202, body: undefined };
  }

  #change(group: Group, error: Operation['error'], takesMs: number): DoubleAnswer {
    const endsAt = this.now + takesMs;
    group.version += 1;
    group.state = error ? 'Failed' : 'Updating';
    group.stateUntil = endsAt;
    const id = this.#operations.push({ endsAt, error }) - 1;
    const headers = { 'azure-asyncoperation': `${this.http.url}/operations/${id}`, 'retry-after': '1' };
    return { status: 201, headers, body: group.agents ? agentPoolOf(group) : scaleSetOf(group) };
  }

  #operation(id: number): DoubleAnswer {
    const operation = this.#operations[id];
    if (!operation) throw new DoubleRefusal(404, 'NotFound', `operation ${id}`);
    const { endsAt, error } = operation;
    if (this.now < endsAt) return { body: { status: 'InProgress' }, headers: { 'retry-after': '1' } };
    return { body: error ? { status: 'Failed', error } : { status: 'Succeeded' } };
  }

  #checkQuota(more: number, code: string, status: number): void {
    const rented = [...this.#groups.values()].reduce((sum, { vms }) => sum + vms.length, 0);
    if (more > 0 && rented + more > this.quota)
      throw new DoubleRefusal(status, code, 'results in exceeding approved Total Regional Cores quota');
  }

  #vmOf(group: Group, vm: Vm) {
    const isRunning = this.now >= vm.createdAt + WORKS_MS && !vm.isBroken;
    const time = new Date(vm.createdAt + WORKS_MS).toISOString();
    const state = vm.leavesAt !== null ? 'Deleting' : vm.isBroken ? 'Failed' : isRunning ? 'Succeeded' : 'Creating';
    return {
      ...{ name: `${group.name}_${vm.number}`, id: idOf(group, vm), instanceId: String(vm.number), location: 'eastus' },
      properties: {
        ...{ provisioningState: state, timeCreated: new Date(vm.createdAt).toISOString() },
        osProfile: { computerName: nodeNameOf(group, vm) },
        instanceView: {
          statuses: [
            { code: `ProvisioningState/${state.toLowerCase()}`, level: 'Info', ...(isRunning ? { time } : {}) },
            { code: isRunning ? 'PowerState/running' : 'PowerState/starting', level: 'Info' },
          ],
        },
      },
    };
  }

  #graph({ query, body }: DoubleRequest): DoubleAnswer {
    if (query.get('api-version') !== '2021-03-01') throw new DoubleRefusal(400, 'InvalidApiVersionParameter', 'api-version');
    const read = strictly(GraphBody, body);
    if (!/^HealthResources \|.*resourceannotations.*VirtualMachinePreempted.*\border by id\b/.test(read.query))
      throw new DoubleRefusal(400, 'BadRequest', 'the query is not understood');
    const from = Number(read.options.$skipToken ?? 0);
    const data = this.preempted.slice(from, from + PAGE);
    const more = from + PAGE < this.preempted.length ? { $skipToken: String(from + PAGE) } : {};
    const [count, totalRecords] = [data.length, this.preempted.length];
    return { body: { ...{ totalRecords, count, data, facets: [], resultTruncated: 'false' }, ...more } };
  }

  #page({ path, query }: DoubleRequest, items: readonly unknown[]): DoubleAnswer {
    const token = query.get('$skiptoken');
    const from = Number(token ?? 0);
    const count = token === null && this.emptyFirst ? 0 : PAGE;
    const next = new URLSearchParams(query);
    next.set('$skiptoken', String(from + count));
    const goesOn = from + count < items.length;
    const nextLink = goesOn ? { nextLink: `${this.http.url}${path}?${next.toString()}` } : {};
    return { body: { value: items.slice(from, from + count), ...nextLink } };
  }
}

const ALLOCATION = { code: 'AllocationFailed', message: 'Allocation failed. We do not have sufficient capacity.' };

function checkEtag({ version }: Group, headers: DoubleRequest['headers']): void {
  const [match, noneMatch] = [headers['if-match'], headers['if-none-match']];
  if (noneMatch === '*' || (match !== undefined && match !== `"${version}"`))
    throw new DoubleRefusal(412, 'PreconditionFailed', 'the etag does not match');
}

function checkAgentPool(known: Group, headers: DoubleRequest['headers'], { vmSize }: AgentPoolProperties): void {
  checkEtag(known, headers);
  if (known.state === 'Updating' || known.state === 'Deleting')
    throw new DoubleRefusal(409, 'OperationNotAllowed', 'another operation is in progress on the agent pool');
  if (known.sku !== vmSize)
    throw new DoubleRefusal(400, 'PropertyChangeNotAllowed', 'Changing property properties.vmSize is not allowed.');
}
