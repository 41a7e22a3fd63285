import type { CapacityType } from '../../clouds/offering.ts';
import type { NodePod, ObservedNode } from '../../fleet/cluster-inventory.port.ts';
import { formatUsd, parseUsd } from '../../kernel/money.ts';
import { MAX_PRICE } from '../../pricing/price-book.ts';
import type { Node } from '../api/objects.ts';
import { resourcesThere } from './node-resources.ts';
import { instantOf, lifeOf, noticeOf, RELEASING_ANNOTATION } from './node-state.ts';

type Labels = Readonly<Record<string, string>>;

const POOL_LABEL = 'purser.dev/pool';
/** What a node is sold as, where its own label says less: a type with accelerators that were attached. */
const SOLD_AS_LABEL = 'purser.dev/instance-type';
const PROVIDER_LABEL = 'purser.dev/provider';
const PRICE_ANNOTATION = 'purser.dev/price-per-hour';
/** Of a value that is no price, so much is said. Higher: somebody's text fills the API; lower: it is not recognised. */
const SHOWN = 60;
/** `spec.providerID` starts with one of these; the price book has its own names for them. */
const PROVIDERS: Readonly<Record<string, string>> = { aws: 'aws', gce: 'gcp', azure: 'azure' };
/** Labels that tell how a node is rented, with the values that mean spot; any other value of theirs means on demand. */
const CAPACITY_LABELS: readonly (readonly [string, readonly string[]])[] = [
  ['purser.dev/capacity-type', ['spot']],
  ['karpenter.sh/capacity-type', ['spot']],
  ['eks.amazonaws.com/capacityType', ['SPOT']],
  ['cloud.google.com/gke-spot', ['true']],
  ['cloud.google.com/gke-preemptible', ['true']],
  ['kubernetes.azure.com/scalesetpriority', ['spot']],
];

/** Everything that is read of a node, with the pods that are bound to it. */
export function observedNode(node: Node, pods: readonly NodePod[]): ObservedNode {
  const { metadata, spec, status } = node;
  const { labels = {}, annotations = {} } = metadata;
  const life = lifeOf(node);
  return {
    ...{ uid: metadata.uid, name: metadata.name, from: instantOf(metadata.creationTimestamp) ?? life.since },
    capacity: resourcesThere(status?.capacity, labels),
    allocatable: resourcesThere(status?.allocatable ?? status?.capacity, labels),
    ...providerOf(spec?.providerID, labels),
    ...placeOf(labels),
    capacityType: capacityTypeOf(labels),
    ...priceOf(metadata.name, annotations[PRICE_ANNOTATION]),
    labels,
    ...{ readiness: life.readiness, readinessSince: life.since, seenAt: life.seenAt },
    schedulable: spec?.unschedulable !== true,
    notice: noticeOf(node),
    releasing: RELEASING_ANNOTATION in annotations,
    pods,
  };
}

const placeOf = (labels: Labels): Pick<ObservedNode, 'region' | 'zone' | 'instanceType' | 'pool'> => ({
  region: labels['topology.kubernetes.io/region'] ?? null,
  zone: labels['topology.kubernetes.io/zone'] ?? null,
  instanceType: labels[SOLD_AS_LABEL] ?? labels['node.kubernetes.io/instance-type'] ?? null,
  pool: labels[POOL_LABEL] ?? null,
});

/** `aws:///us-east-1a/i-0abc` → aws and the last part; a label wins over the scheme. */
function providerOf(providerId: string | undefined, labels: Labels): Pick<ObservedNode, 'provider' | 'instanceId'> {
  const [, scheme = '', path = ''] = /^([a-z0-9-]+):\/\/(.*)$/.exec(providerId ?? '') ?? [];
  const provider = labels[PROVIDER_LABEL] ?? PROVIDERS[scheme] ?? (scheme === '' ? null : scheme);
  return { provider, instanceId: scaleSetMachine(path) ?? (path.split('/').at(-1) || null) };
}

/** Azure numbers the machines of a scale set: one is told from another's by both. Null = it is in none. */
function scaleSetMachine(path: string): string | null {
  const [, scaleSet = '', number = ''] = /\/virtualMachineScaleSets\/([^/]+)\/virtualMachines\/([^/]+)$/i.exec(path) ?? [];
  return scaleSet === '' ? null : `${scaleSet.toLowerCase()}_${number}`;
}

/** Null where no label says. */
export function capacityTypeOf(labels: Labels): CapacityType | null {
  if (labels['purser.dev/capacity-type'] === 'reserved' || labels['karpenter.sh/capacity-type'] === 'reserved') return 'reserved';
  const known = CAPACITY_LABELS.filter(([key]) => labels[key] !== undefined);
  if (known.length === 0) return null;
  return known.some(([key, spot]) => spot.includes(labels[key] ?? '')) ? 'spot' : 'on_demand';
}

function priceOf(node: string, text: string | undefined): Pick<ObservedNode, 'pricePerHour' | 'priceProblem'> {
  if (text === undefined) return { pricePerHour: null, priceProblem: null };
  const price = parseUsd(text);
  return price !== null && price >= 0n && price <= MAX_PRICE
    ? { pricePerHour: price, priceProblem: null }
    : { pricePerHour: null, priceProblem: problemOf(node, text) };
}

function problemOf(node: string, text: string): string {
  const said = JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
  const annotate = `kubectl annotate node ${node}`;
  return (
    `The annotation ${PRICE_ANNOTATION} of the node says ${said}, which is no price, so its time is unpriced. Write US dollars per hour, ` +
    `at most ${formatUsd(MAX_PRICE)} with at most 12 decimals (${annotate} --overwrite ${PRICE_ANNOTATION}=1.25), ` +
    `or take it away (${annotate} ${PRICE_ANNOTATION}-): then the price book counts.`
  );
}
