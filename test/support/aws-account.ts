// An account of AWS: moto behind a proxy that does what moto leaves out (client tokens, capacity, limits, the group behind a node group), and
// what networks and services do in their bad hours.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';
import type { CloudTrouble } from './cloud-provider-suite.ts';
import type { Moto } from './moto.ts';

export interface AwsCall {
  /** `RunInstances`; of services that speak REST `POST /clusters/…`. */
  readonly action: string;
  readonly service: string;
  readonly form: URLSearchParams;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
  readonly method: string;
  readonly path: string;
}

export interface AwsAnswer {
  readonly status: number;
  readonly body: string;
  readonly type: string;
  /** Of services that say it in a header. */
  readonly error?: string | undefined;
}

export interface AwsAccount {
  readonly url: string;
  /** What was asked, in order. */
  readonly calls: readonly AwsCall[];
  /** How many machines may run: those that EC2 has, and those that the account may have. */
  limits: { stock: number; quota: number };
  trouble: CloudTrouble | null;
  /** The call after so many that change something (0 = the next) gets no answer. */
  lose(what: 'request' | 'answer', after?: number): void;
  /** Takes back what was said to be lost; true if it has happened. */
  found(): boolean;
  /** Changes what EC2 answers. */
  edit: ((call: AwsCall, answer: AwsAnswer) => AwsAnswer) | null;
  /** Asks moto itself; no fault stands between. */
  direct(call: Pick<AwsCall, 'method' | 'path' | 'headers' | 'body'>): Promise<AwsAnswer>;
  close(): Promise<void>;
}

interface State {
  /** Of launch templates, as CreateTags set them: moto shows those of the creation for ever. */
  readonly tags: Map<string, Map<string, string>>;
  readonly tokens: Map<string, { readonly asked: string; readonly answer: AwsAnswer }>;
  lost: { readonly what: 'request' | 'answer'; left: number } | null;
}

export async function startAwsAccount(moto: Moto): Promise<AwsAccount> {
  const dispatcher = new Agent();
  const hanging = new Set<ServerResponse>();
  const calls: AwsCall[] = [];
  const state: State = { tags: new Map(), tokens: new Map(), lost: null };
  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => outgoing.destroy());
  });
  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const call = await readCall(incoming);
    calls.push(call);
    if (account.trouble === 'hangs') return void hanging.add(outgoing);
    const lost = isLost(call, state);
    if (lost === 'request') return void outgoing.destroy();
    const answer = troubled(call, account.trouble) ?? (await answerOf(call, account, state));
    if (lost === 'answer') return void outgoing.destroy();
    const { status, type, body, error } = account.edit?.(call, answer) ?? answer;
    outgoing.writeHead(status, { 'content-type': type, ...(error ? { 'x-amzn-errortype': error } : {}) }).end(body);
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const account: AwsAccount = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    limits: { stock: 1_000, quota: 1_000 },
    trouble: null,
    edit: null,
    lose: (what, after = 0) => void (state.lost = { what, left: after }),
    found: () => {
      const happened = state.lost === null;
      state.lost = null;
      return happened;
    },
    direct: async ({ method, path, headers, body }) => {
      const { host: _host, connection: _connection, 'content-length': _length, expect: _expect, ...kept } = headers;
      const answer = await request(`${moto.url}${path}`, {
        dispatcher,
        method: method as 'POST',
        headers: kept,
        body: body || null,
      });
      const type = String(answer.headers['content-type'] ?? 'text/xml');
      const error = answer.headers['x-amzn-errortype'];
      return {
        status: answer.statusCode,
        type,
        body: await answer.body.text(),
        error: error === undefined ? error : String(error),
      };
    },
    close: async () => {
      for (const outgoing of hanging) outgoing.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await dispatcher.destroy();
    },
  };
  return account;
}

export async function readCall(incoming: IncomingMessage): Promise<AwsCall> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString();
  const { headers, method = '', url: path = '' } = incoming;
  const form = new URLSearchParams(body.startsWith('{') ? '' : body);
  const target = String(headers['x-amz-target'] ?? '');
  const action = form.get('Action') ?? (target.split('.').at(-1) || `${method} ${path}`);
  return { action, service: serviceOf(headers.authorization), form, body, headers, method, path };
}

/** Of a signature: who is asked. */
const serviceOf = (authorization = ''): string =>
  /Credential=[^/]+\/\d{8}\/[^/]+\/([^/]+)\/aws4_request/.exec(authorization)?.[1] ?? '';

export const isChange = ({ action }: AwsCall): boolean => !/^(?:Describe|Get|List|Receive)/.test(action);

function isLost(call: AwsCall, state: State): 'request' | 'answer' | null {
  if (!state.lost || !isChange(call)) return null;
  state.lost.left -= 1;
  if (state.lost.left >= 0) return null;
  const { what } = state.lost;
  state.lost = null;
  return what;
}

function troubled(call: AwsCall, trouble: CloudTrouble | null): AwsAnswer | null {
  if (call.service === '') return failure(call, 403, 'MissingAuthenticationToken', 'Request is missing a signature');
  if (trouble === 'throttled') return failure(call, call.form.has('Action') ? 503 : 429, 'RequestLimitExceeded', 'Slow down');
  if (trouble === 'broken') return failure(call, 500, 'InternalError', 'An internal error has occurred');
  return null;
}

/** An error as the service of the call writes it. */
export function failure({ form, service }: AwsCall, status: number, code: string, message: string): AwsAnswer {
  if (!form.has('Action'))
    return { status, type: 'application/x-amz-json-1.1', body: JSON.stringify({ __type: code, message, Message: message }) };
  const error = `<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  const body =
    service === 'ec2'
      ? `<Response><Errors>${error}</Errors><RequestID>r</RequestID></Response>`
      : `<ErrorResponse>${error}<RequestId>r</RequestId></ErrorResponse>`;
  return { status, type: 'text/xml', body };
}

async function answerOf(call: AwsCall, account: AwsAccount, state: State): Promise<AwsAnswer> {
  if (call.action === 'RunInstances') return runInstances(call, account, state);
  const answer = await account.direct(call);
  if (call.action === 'CreateTags' && answer.status === 200) keepTags(call, state);
  if (call.action === 'DescribeLaunchTemplates') return { ...answer, body: withTags(answer.body, state) };
  if (/^POST \/clusters\/[^/]+\/node-groups$/.test(call.action) && answer.status === 200) await makeGroup(call, answer, account);
  if (/^DELETE \/clusters\/[^/]+\/node-groups\/[^/]+$/.test(call.action) && answer.status === 200)
    await removeGroup(call, answer, account);
  return answer;
}

function keepTags({ form }: AwsCall, { tags }: State): void {
  const valuesOf = (name: RegExp): string[] => [...form].filter(([key]) => name.test(key)).map(([, value]) => value);
  const [keys, values] = [valuesOf(/^Tag\.\d+\.Key$/), valuesOf(/^Tag\.\d+\.Value$/)];
  for (const id of valuesOf(/^ResourceId\.\d+$/).filter((one) => one.startsWith('lt-'))) {
    const known = tags.get(id) ?? new Map<string, string>();
    keys.forEach((key, index) => known.set(key, values[index] ?? ''));
    tags.set(id, known);
  }
}

function withTags(xml: string, { tags }: State): string {
  return xml.replace(/<launchTemplateId>(lt-[0-9a-f]+)<.*?<\/tagSet>/gs, (template, id: string) => {
    const set = [...(tags.get(id) ?? [])].map(([key, value]) => `<item><key>${key}</key><value>${value}</value></item>`);
    return template.replace('</tagSet>', `${set.join('')}</tagSet>`);
  });
}

/** A client token is asked once; between MinCount and MaxCount come as many as there are. */
async function runInstances(call: AwsCall, account: AwsAccount, state: State): Promise<AwsAnswer> {
  const token = call.form.get('ClientToken') ?? '';
  const known = state.tokens.get(token);
  if (known && known.asked !== call.body)
    return failure(call, 400, 'IdempotentParameterMismatch', 'The token is known otherwise');
  if (known) return known.answer;
  const [min, max] = [Number(call.form.get('MinCount')), Number(call.form.get('MaxCount'))];
  const running = await countMachines(call, account);
  if (running + max > account.limits.quota) return failure(call, 400, 'VcpuLimitExceeded', 'More vCPU than the limit');
  const count = Math.min(max, account.limits.stock - running);
  if (count < min) return failure(call, 500, 'InsufficientInstanceCapacity', 'There is no capacity');
  // moto starts the smallest number that is enough.
  const form = new URLSearchParams(call.body);
  form.set('MinCount', String(count));
  form.set('MaxCount', String(count));
  const answer = await account.direct({ ...call, body: form.toString() });
  if (answer.status === 200) state.tokens.set(token, { asked: call.body, answer });
  return answer;
}

async function countMachines(call: AwsCall, account: AwsAccount): Promise<number> {
  const form = new URLSearchParams({ Action: 'DescribeInstances', Version: '2016-11-15' });
  form.set('Filter.1.Name', 'instance-state-name');
  form.set('Filter.1.Value.1', 'running');
  form.set('Filter.1.Value.2', 'pending');
  const { body } = await account.direct({ ...call, body: form.toString() });
  return [...body.matchAll(/<instanceId>/g)].length;
}

interface NodegroupAnswer {
  readonly nodegroup: {
    readonly resources: { readonly autoScalingGroups: readonly { readonly name: string }[] };
    readonly scalingConfig: { readonly maxSize: number };
    readonly launchTemplate: { readonly id: string };
    readonly tags: Readonly<Record<string, string>>;
    readonly subnets: readonly string[];
  };
}

/** EKS makes an Auto Scaling group for each node group; moto only names one. */
async function makeGroup(call: AwsCall, answer: AwsAnswer, account: AwsAccount): Promise<void> {
  const { resources, scalingConfig, launchTemplate, tags, subnets } = (JSON.parse(answer.body) as NodegroupAnswer).nodegroup;
  const name = resources.autoScalingGroups[0]?.name ?? '';
  const form = new URLSearchParams({ Action: 'CreateAutoScalingGroup', Version: '2011-01-01', AutoScalingGroupName: name });
  form.set('MinSize', '0');
  form.set('DesiredCapacity', '0');
  form.set('MaxSize', String(scalingConfig.maxSize));
  form.set('LaunchTemplate.LaunchTemplateId', launchTemplate.id);
  form.set('LaunchTemplate.Version', '1');
  form.set('VPCZoneIdentifier', subnets.join(','));
  Object.entries(tags).forEach(([key, value], index) => {
    form.set(`Tags.member.${index + 1}.Key`, key);
    form.set(`Tags.member.${index + 1}.Value`, value);
    form.set(`Tags.member.${index + 1}.PropagateAtLaunch`, 'true');
    form.set(`Tags.member.${index + 1}.ResourceId`, name);
    form.set(`Tags.member.${index + 1}.ResourceType`, 'auto-scaling-group');
  });
  await ofAutoScaling(call, account, form);
}

async function removeGroup(call: AwsCall, answer: AwsAnswer, account: AwsAccount): Promise<void> {
  const name = (JSON.parse(answer.body) as NodegroupAnswer).nodegroup.resources.autoScalingGroups[0]?.name ?? '';
  const form = new URLSearchParams({ Action: 'DeleteAutoScalingGroup', Version: '2011-01-01', ForceDelete: 'true' });
  form.set('AutoScalingGroupName', name);
  await ofAutoScaling(call, account, form);
}

async function ofAutoScaling(call: AwsCall, account: AwsAccount, form: URLSearchParams): Promise<void> {
  const authorization = (call.headers.authorization ?? '').replace('/eks/aws4_request', '/autoscaling/aws4_request');
  const headers = { ...call.headers, authorization, 'content-type': 'application/x-www-form-urlencoded' };
  const { status, body } = await account.direct({ method: 'POST', path: '/', headers, body: form.toString() });
  if (status !== 200) throw new Error(`moto: ${body}`);
}
