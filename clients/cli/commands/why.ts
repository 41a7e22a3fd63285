import type { Command } from 'commander';
import { graphql } from '../../typescript/generated/gql.ts';
import type { WhyDeploymentQuery } from '../../typescript/generated/graphql.ts';
import type { Cli } from '../cli-context.ts';
import { money } from '../output.ts';
import { found } from '../refusals.ts';

const WhyDeployment = graphql(`
  query WhyDeployment($path: String!, $events: EventFilter) {
    deployment(by: { path: $path }) {
      id
      path
      status {
        phase
      }
      decisions(first: 20) {
        kind
        at
        principal
        reasons
        candidates
        rejected
        chosen
        expectedHourly {
          amount
        }
      }
    }
    events(filter: $events, last: 20) {
      events {
        at
        type
        message
      }
    }
  }
`);

/** Told of those that lost. Higher: nobody reads it; lower: the next best is not among them. */
const NEAREST = 3;
const PICO = 10n ** 12n;
/** Who is no loop is told by an id, which says nothing to people. */
const LOOP = 'reconciler:';

export function addWhyCommand(program: Command, cli: () => Cli): void {
  program
    .command('why <deployment>')
    .description('why it is where it is: its price, what lost, what would change it')
    .action((path: string) => why(cli(), path));
}

async function why(cli: Cli, path: string): Promise<void> {
  const answer = await cli.client().request(WhyDeployment, { path, events: { deployment: path } });
  const deployment = found(answer.deployment, 'deployment');
  const { events } = answer.events;
  cli.output.result({ ...deployment, events }, () => story(deployment, events));
}

type Deployment = NonNullable<WhyDeploymentQuery['deployment']>;
type Decision = Deployment['decisions'][number];
type Event = WhyDeploymentQuery['events']['events'][number];

function story({ path, status, decisions }: Deployment, events: readonly Event[]): string {
  const placed = decisions.find(({ candidates }) => candidatesOf(candidates).length > 0);
  const later = decisions.filter(({ at }) => placed === undefined || at > placed.at).reverse();
  const since = events.filter(({ at }) => placed === undefined || at >= placed.at);
  return [
    `${path} is ${status.phase}.`,
    ...(placed ? placedLines(placed) : ['Nobody has decided where it goes yet.']),
    ...titled(
      'Decided since then:',
      later.map(({ at, kind, reasons }) => `${at} ${kind.toLowerCase()}: ${reasons.join(' ')}`),
    ),
    ...titled(
      'Happened since then:',
      since.map(({ at, type, message }) => `${at} ${type}: ${message}`),
    ),
  ].join('\n');
}

const titled = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];

function placedLines({ at, principal, reasons, candidates, rejected, chosen, expectedHourly }: Decision): string[] {
  const all = candidatesOf(candidates);
  const taken = all.filter((one) => one.chosen);
  const losers = all.filter((one) => !one.chosen).slice(0, NEAREST);
  const counts = Object.entries((rejected ?? {}) as Readonly<Record<string, number>>)
    .sort(([, a], [, b]) => b - a)
    .map(([code, count]) => `${code} ${count}`);
  const cost = expectedHourly ? `, ${money(expectedHourly.amount)} per hour` : '';
  return [
    `Decided at ${at}${principal.startsWith(LOOP) ? ` by ${principal}` : ''}${cost}:`,
    ...placesOf(chosen).map((place) => `  ${place}`),
    ...taken.map((one) => `  ${nameOf(one)}: ${partsOf(one)}`),
    ...titled('Why:', reasons),
    ...titled(
      'The nearest that lost:',
      losers.map((one) => `${nameOf(one)} at ${usd(one.hourly)}: ${one.rejectedBecause?.message ?? ''}`),
    ),
    ...titled('Did not fit:', counts),
  ];
}

interface Candidate {
  readonly offering: Readonly<Record<'provider' | 'region' | 'zone' | 'instanceType' | 'capacityType', string>>;
  readonly hourly: string | null;
  readonly cost?: Readonly<Record<'price' | 'egress' | 'interruptions' | 'move', string>> | null;
  readonly chosen: boolean;
  readonly rejectedBecause: { readonly code: string; readonly message: string } | null;
}

const candidatesOf = (json: unknown): readonly Candidate[] => (Array.isArray(json) ? (json as Candidate[]) : []);

const nameOf = ({ offering: { provider, region, instanceType, capacityType } }: Candidate): string =>
  `${provider} ${instanceType} in ${region}, ${capacityType.replace('_', '-')}`;

function partsOf({ cost, hourly }: Candidate): string {
  if (!cost) return usd(hourly);
  const parts = Object.entries({
    machines: cost.price,
    egress: cost.egress,
    interruptions: cost.interruptions,
    moving: cost.move,
  });
  return parts.map(([what, amount]) => `${what} ${usd(amount)}`).join(' + ');
}

function placesOf(chosen: unknown): string[] {
  const { places = [] } = (chosen ?? {}) as {
    places?: readonly { cluster: string; pool: string; replicas: number; machines: number | null }[];
  };
  return places.map(({ cluster, pool, replicas, machines }) => {
    const rented = machines === null ? '' : ` on ${machines} rented ${machines === 1 ? 'machine' : 'machines'}`;
    return `${replicas} ${replicas === 1 ? 'replica' : 'replicas'} in ${cluster}/${pool}${rented}`;
  });
}

/** Decisions keep amounts as whole pico-dollars. */
function usd(digits: string | null): string {
  if (digits === null) return 'an unknown price';
  const amount = BigInt(digits);
  return money(`${amount / PICO}.${(amount % PICO).toString().padStart(12, '0')}`);
}
