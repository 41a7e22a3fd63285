// Compute Engine and GKE as their public references describe them: templates, instance groups, node pools, fingerprints, preemptions.
import {
  CreateInstancesBody,
  DeleteInstancesBody,
  GroupBody,
  GroupPatch,
  NodePoolBody,
  NodePoolUpdate,
  SetSizeBody,
  TemplateBody,
  type Group,
  type Instance,
  type NodePool,
} from './gcp-double-shapes.ts';
import { aggregated, GcpOperations, missing, OPERATION_MS, page, type OperationError } from './gcp-double-operations.ts';
import { DoubleRefusal, HttpDouble, strictly, type DoubleAnswer, type DoubleRequest, type DoubleRoute } from './http-double.ts';

export const PROJECT = 'purser-test';
export const TOKEN = 'google-token';
const [COMPUTE, CONTAINER] = [`/compute/projects/${PROJECT}`, `/container/projects/${PROJECT}`];
/** Machines come and go in so long. */
const MACHINE_MS = 30_000;

export class GcpDouble {
  readonly http: HttpDouble;
  now = Date.parse('2026-06-01T00:00:00Z');
  stock = 100;
  quota = 100;
  /** A zone that does not answer: lists say so and leave it out. */
  unreachable = false;
  /** Lists of machines show them so much later than the target does. */
  lagMs = 0;
  touches = false; // somebody else changes each pool right after it was looked at
  readonly written = new Map<string, unknown>();
  readonly templates = new Map<string, Record<string, unknown>>();
  readonly #groups = new Map<string, Group>();
  readonly #nodePools = new Map<string, NodePool>();
  readonly #operations = new GcpOperations(this);
  #made = 0;

  constructor(more: readonly DoubleRoute[] = []) {
    this.http = new HttpDouble({
      routes: [...this.#groupRoutes(), ...this.#nodePoolRoutes(), ...more],
      words: (code, reason, message) => ({ error: { code, message, errors: [{ reason, message, domain: 'global' }] } }),
      token: TOKEN,
    });
  }

  pass(ms = 120_000): void {
    this.now += ms;
    this.#tick();
  }

  preempt(name: string): void {
    const [, instance] = this.#instanceOf(name);
    instance.takenAt = this.now + MACHINE_MS;
    this.#operations.start({
      place: `zones/${instance.zone}`,
      operationType: 'compute.instances.preempted',
      target: instanceLink(instance),
    });
  }

  /** A spot machine of somebody else, in a group of theirs. */
  addStranger(name: string): void {
    this.#add(this.#newGroup('zones/us-central1-b', 'theirs', ''), name);
  }

  /** Somebody else made what there is. */
  disown(): void {
    for (const group of this.#groups.values()) group.metadata = {};
    for (const { config } of this.#nodePools.values()) config['resourceLabels'] = {};
  }

  /** Somebody writes a mark onto every pool. */
  mark(name: string, value: string): void {
    for (const group of this.#groups.values()) group.metadata[name] = value;
    for (const { config } of this.#nodePools.values())
      config['resourceLabels'] = { ...(config['resourceLabels'] as object), [name]: value };
  }

  #tick(): void {
    for (const [key, group] of this.#groups) {
      group.instances = group.instances.filter(({ leavesAt }) => leavesAt === null || leavesAt > this.now);
      if (group.goneAt !== null && group.goneAt <= this.now) this.#groups.delete(key);
    }
    for (const [name, { group, isGoing }] of this.#nodePools)
      if (isGoing && !this.#groups.has(keyOf(group))) this.#nodePools.delete(name);
    const rented = this.#rented().filter(({ failure }) => failure === null).length;
    let free = Math.min(this.stock, this.quota) - rented;
    for (const instance of this.#rented().filter(({ failure }) => failure !== null)) {
      if (free <= 0) break;
      instance.failure = null;
      free -= 1;
    }
  }

  #groupRoutes(): DoubleRoute[] {
    const place = String.raw`^${COMPUTE}/(?<place>(?:zones|regions)/[^/]+)`;
    const groups = `${place}/instanceGroupManagers`;
    const lists = ['filter', 'maxResults', 'pageToken'];
    return [
      this.#route(
        'GET',
        String.raw`^${COMPUTE}/aggregated/instanceGroupManagers`,
        (request) => this.#aggregatedGroups(request),
        lists,
      ),
      this.#route('GET', String.raw`^${COMPUTE}/aggregated/operations`, (request) => this.#operations.aggregated(request), lists),
      this.#route('POST', String.raw`^${COMPUTE}/global/instanceTemplates`, (request) => this.#makeTemplate(request)),
      this.#route('POST', groups, (request) => this.#makeGroup(request)),
      this.#route('GET', `${groups}/(?<group>[^/]+)`, ({ names }) => ({ body: this.#groupOf(this.#group(names)) })),
      this.#route('PATCH', `${groups}/(?<group>[^/]+)`, (request) => this.#patchGroup(request)),
      this.#route('DELETE', `${groups}/(?<group>[^/]+)`, ({ names }) => this.#removeGroup(this.#group(names))),
      {
        ...this.#route('POST', `${groups}/(?<group>[^/]+)/listManagedInstances`, (request) => this.#managed(request), lists),
        isRead: true,
      },
      this.#route('POST', `${groups}/(?<group>[^/]+)/createInstances`, (request) => this.#createInstances(request)),
      this.#route('POST', `${groups}/(?<group>[^/]+)/deleteInstances`, (request) => this.#deleteInstances(request)),
      this.#route('GET', `${place}/instances/(?<name>[^/]+)`, ({ names }) => this.#instance(names['name'] ?? '')),
      this.#route('GET', `${place}/operations`, (request) => this.#operations.unfinished(request), lists),
      this.#route('GET', `${place}/operations/(?<name>[^/]+)`, ({ names }) => this.#operations.one(names['name'])),
      this.#route('GET', String.raw`^${COMPUTE}/global/operations/(?<name>[^/]+)`, ({ names }) =>
        this.#operations.one(names['name']),
      ),
    ];
  }

  #nodePoolRoutes(): DoubleRoute[] {
    const pools = String.raw`^${CONTAINER}/locations/us-central1/clusters/east/nodePools`;
    return [
      this.#route('POST', pools, (request) => this.#makeNodePool(request)),
      this.#route('GET', `${pools}/(?<pool>[^/:]+)`, ({ names }) => ({ body: this.#nodePoolOf(this.#nodePool(names['pool'])) })),
      this.#route('PUT', `${pools}/(?<pool>[^/:]+)`, (request) => this.#updateNodePool(request)),
      this.#route('POST', `${pools}/(?<pool>[^/:]+):setSize`, (request) => this.#setSize(request)),
      this.#route('DELETE', `${pools}/(?<pool>[^/:]+)`, ({ names }) => {
        const pool = this.#idle(this.#nodePool(names['pool']));
        pool.isGoing = true;
        this.#removeGroup(pool.group);
        return this.#containerOperation(pool, 'DELETE_NODE_POOL', MACHINE_MS);
      }),
      this.#route('GET', String.raw`^${CONTAINER}/locations/us-central1/operations/(?<name>[^/]+)`, ({ names }) =>
        this.#operations.one(names['name']),
      ),
    ];
  }

  #route(method: string, path: string, answer: DoubleRoute['answer'], query: readonly string[] = []): DoubleRoute {
    return {
      ...{ method, path: new RegExp(`${path}$`), query },
      answer: (request) => {
        this.#tick();
        if (method !== 'GET' && this.touches)
          for (const one of [...this.#groups.values(), ...this.#nodePools.values()]) one.version += 1;
        if (method !== 'GET') this.written.set(request.path, request.body);
        return answer(request);
      },
    };
  }

  #makeTemplate({ body }: DoubleRequest): DoubleAnswer {
    const { name, properties } = strictly(TemplateBody, body);
    if (this.templates.has(name)) throw new DoubleRefusal(409, 'alreadyExists', `The resource '${name}' already exists`);
    this.templates.set(name, properties);
    return this.#operations.start({
      place: 'global',
      operationType: 'insert',
      target: `${COMPUTE}/global/instanceTemplates/${name}`,
    });
  }

  #makeGroup({ names, body }: DoubleRequest): DoubleAnswer {
    const { name, instanceTemplate, allInstancesConfig, targetSize } = strictly(GroupBody, body);
    const place = names['place'] ?? '';
    if (this.#groups.has(`${place}/${name}`))
      throw new DoubleRefusal(409, 'alreadyExists', `The resource '${name}' already exists`);
    if (targetSize !== 0) throw new Error('made with machines');
    const group = this.#newGroup(place, name, this.#templateOf(instanceTemplate));
    group.metadata = allInstancesConfig?.properties.metadata ?? {};
    return this.#groupOperation(group, 'insert');
  }

  #newGroup(place: string, name: string, template: string): Group {
    this.#made += 1;
    const labels = (this.templates.get(template)?.['labels'] ?? {}) as Record<string, string>;
    const group: Group = {
      ...{ id: String(8_000_000 + this.#made), place, name, template, labels },
      ...{ version: 0, metadata: {}, instances: [], goneAt: null },
    };
    this.#groups.set(keyOf(group), group);
    return group;
  }

  #templateOf(link: string): string {
    const name = link.split('/').at(-1) ?? '';
    if (!this.templates.has(name)) throw new DoubleRefusal(400, 'invalid', `the template ${link} does not exist`);
    return name;
  }

  #patchGroup({ names, body }: DoubleRequest): DoubleAnswer {
    const group = this.#group(names);
    const { fingerprint, instanceTemplate, allInstancesConfig } = strictly(GroupPatch, body);
    if (fingerprint !== String(group.version)) throw new DoubleRefusal(412, 'conditionNotMet', 'the fingerprint does not match');
    if (instanceTemplate) group.template = this.#templateOf(instanceTemplate);
    group.metadata = allInstancesConfig?.properties.metadata ?? group.metadata;
    return this.#groupOperation(group, 'patch');
  }

  #removeGroup(group: Group): DoubleAnswer {
    group.goneAt = this.now + MACHINE_MS;
    for (const instance of group.instances) instance.leavesAt ??= group.goneAt;
    return this.#groupOperation(group, 'delete', MACHINE_MS);
  }

  #createInstances({ names, body }: DoubleRequest): DoubleAnswer {
    const group = this.#group(names);
    for (const { name } of strictly(CreateInstancesBody, body).instances) {
      if (group.instances.some((one) => one.name === name))
        throw new DoubleRefusal(400, 'invalid', `${name} is in the group already`);
      this.#add(group, name, OPERATION_MS);
    }
    return this.#groupOperation(group, 'compute.instanceGroupManagers.createInstances');
  }

  /** It shows after so long. */
  #add(group: Group, name: string, lateMs = 0): void {
    const rented = this.#rented().filter(({ failure }) => failure === null).length;
    const failure =
      rented >= this.quota ? 'QUOTA_EXCEEDED' : rented >= this.stock ? 'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS' : null;
    const [kind = '', where = ''] = group.place.split('/');
    const zone = kind === 'zones' ? where : `${where}-a`;
    group.instances.push({ name, zone, createdAt: this.now + lateMs, failure, leavesAt: null, takenAt: null });
  }

  #deleteInstances({ names, body }: DoubleRequest): DoubleAnswer {
    const group = this.#group(names);
    const { instances, skipInstancesOnValidationError = false } = strictly(DeleteInstancesBody, body);
    for (const ref of instances) {
      const instance = group.instances.find(({ zone, name }) => ref === `zones/${zone}/instances/${name}`);
      if ((!instance || instance.leavesAt !== null) && !skipInstancesOnValidationError)
        throw new DoubleRefusal(400, 'invalid', `${ref} is not a member of the group`);
      if (instance) instance.leavesAt ??= this.now + MACHINE_MS;
    }
    return this.#groupOperation(group, 'compute.instanceGroupManagers.deleteInstances');
  }

  #managed(request: DoubleRequest): DoubleAnswer {
    const instances = this.#group(request.names).instances.filter(({ createdAt }) => createdAt + this.lagMs <= this.now);
    return page(
      request,
      'managedInstances',
      instances.map((one) => this.#managedOf(one)),
    );
  }

  #managedOf(instance: Instance) {
    const { failure, leavesAt, takenAt, createdAt, name } = instance;
    const link = `${this.http.url}${instanceLink(instance)}`;
    if (leavesAt !== null) return { instance: link, name, instanceStatus: 'STOPPING', currentAction: 'DELETING' };
    if (failure !== null) {
      const errors = { errors: [{ code: failure, message: 'no' }] };
      return { instance: link, name, currentAction: 'CREATING', lastAttempt: { errors } };
    }
    if (takenAt !== null) {
      const status = this.now < takenAt ? { instanceStatus: 'STOPPING' } : {};
      return { instance: link, name, currentAction: 'NONE', ...status };
    }
    const isRunning = this.now >= createdAt + MACHINE_MS;
    const life = isRunning
      ? { instanceStatus: 'RUNNING', currentAction: 'NONE' }
      : { instanceStatus: 'STAGING', currentAction: 'CREATING' };
    return { instance: link, name, ...life };
  }

  #instance(name: string): DoubleAnswer {
    const [{ labels }, instance] = this.#instanceOf(name);
    if (instance.takenAt !== null && this.now >= instance.takenAt)
      throw new DoubleRefusal(404, 'notFound', `${name} was not found`);
    return { body: { name, labels, status: 'RUNNING', lastStartTimestamp: new Date(instance.createdAt).toISOString() } };
  }

  #instanceOf(name: string): [Group, Instance] {
    for (const group of this.#groups.values()) {
      const instance = group.instances.find((one) => one.name === name);
      if (instance) return [group, instance];
    }
    return missing(name);
  }

  #makeNodePool({ body }: DoubleRequest): DoubleAnswer {
    const { nodePool } = strictly(NodePoolBody, body);
    const { name, config, locations } = nodePool;
    if (this.#nodePools.has(name)) throw new DoubleRefusal(409, 'alreadyExists', `Already exists: ${name}`);
    const group = this.#newGroup(
      `zones/${locations[0] ?? ''}`,
      `gke-east-${name}-${String(this.#made).padStart(8, '0')}-grp`,
      '',
    );
    group.labels = config.resourceLabels ?? {};
    const pool: NodePool = { name, config, version: 0, busyUntil: 0, isGoing: false, group };
    this.#nodePools.set(name, pool);
    return this.#containerOperation(pool, 'CREATE_NODE_POOL', OPERATION_MS);
  }

  #updateNodePool({ names, body }: DoubleRequest): DoubleAnswer {
    const pool = this.#idle(this.#nodePool(names['pool']));
    const { etag, labels, resourceLabels } = strictly(NodePoolUpdate, body);
    if (etag !== String(pool.version)) throw new DoubleRefusal(409, 'ABORTED', 'the etag does not match');
    if (labels) pool.config['labels'] = labels.labels;
    if (resourceLabels) pool.config['resourceLabels'] = resourceLabels.labels;
    return this.#containerOperation(pool, 'UPDATE_NODE_POOL', OPERATION_MS);
  }

  #setSize({ names, body }: DoubleRequest): DoubleAnswer {
    const pool = this.#idle(this.#nodePool(names['pool']));
    const { nodeCount } = strictly(SetSizeBody, body);
    const staying = pool.group.instances.filter(({ leavesAt }) => leavesAt === null).length;
    // Nobody may ask for fewer this way: Google would choose.
    if (nodeCount < staying) throw new Error('a size below what is there');
    for (let n = staying; n < nodeCount; n += 1) {
      this.#made += 1;
      this.#add(pool.group, `${pool.group.name.replace(/-grp$/, '')}-${String(this.#made).padStart(4, '0')}`);
    }
    const out = pool.group.instances.some(({ failure }) => failure === 'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS');
    const error = out ? { code: '8', message: '[GCE_STOCKOUT]: the zone does not have enough resources' } : null;
    return this.#containerOperation(pool, 'SET_NODE_POOL_SIZE', nodeCount === staying ? OPERATION_MS : 8_000, error);
  }

  #idle(pool: NodePool): NodePool {
    if (this.now < pool.busyUntil)
      throw new DoubleRefusal(400, 'FAILED_PRECONDITION', 'Operation operation-1 is currently operating on the node pool');
    return pool;
  }

  #nodePool(name = ''): NodePool {
    return this.#nodePools.get(name) ?? missing(name);
  }

  #nodePoolOf({ name, config, version, group, busyUntil, isGoing }: NodePool) {
    const status = isGoing ? 'STOPPING' : this.now < busyUntil ? 'RECONCILING' : 'RUNNING';
    const instanceGroupUrls = [`${this.http.url}${linkOf(group)}`];
    return { name, config, etag: String(version), status, instanceGroupUrls, autoscaling: {}, initialNodeCount: 0 };
  }

  #containerOperation(pool: NodePool, operationType: string, takesMs: number, error: OperationError | null = null): DoubleAnswer {
    pool.version += 1;
    pool.busyUntil = this.now + takesMs;
    return this.#operations.start({ place: 'container', operationType, target: pool.name, takesMs, error });
  }

  #groupOperation(group: Group, operationType: string, takesMs = OPERATION_MS): DoubleAnswer {
    group.version += 1;
    return this.#operations.start({ place: group.place, operationType, target: linkOf(group), takesMs });
  }

  #aggregatedGroups(request: DoubleRequest): DoubleAnswer {
    const [, name = ''] = /^name = ([-a-z0-9]+)$/.exec(request.query.get('filter') ?? '') ?? [];
    if (name === '') throw new DoubleRefusal(400, 'invalid', 'filter');
    const found = [...this.#groups.values()].filter((one) => one.name === name);
    return aggregated(
      request,
      this.unreachable,
      'instanceGroupManagers',
      found.map((one) => [one.place, this.#groupOf(one)]),
    );
  }

  #group({ place = '', group: name = '' }: DoubleRequest['names']): Group {
    return this.#groups.get(`${place}/${name}`) ?? missing(name);
  }

  #groupOf(group: Group) {
    const staying = group.instances.filter(({ leavesAt, createdAt }) => leavesAt === null && createdAt <= this.now).length;
    return {
      ...{ id: group.id, name: group.name, fingerprint: String(group.version), targetSize: staying },
      ...{ selfLink: `${this.http.url}${linkOf(group)}`, instanceTemplate: group.template },
      allInstancesConfig: { properties: { metadata: group.metadata } },
    };
  }

  #rented(): Instance[] {
    return [...this.#groups.values()]
      .flatMap(({ instances }) => instances)
      .filter(({ leavesAt, takenAt }) => leavesAt === null && takenAt === null);
  }
}

const keyOf = ({ place, name }: Group): string => `${place}/${name}`;
const linkOf = ({ place, name }: Group): string => `${COMPUTE}/${place}/instanceGroupManagers/${name}`;
const instanceLink = ({ zone, name }: Instance): string => `${COMPUTE}/zones/${zone}/instances/${name}`;
