import { failure, type Failure } from '../kernel/failure.ts';
import type { Instant } from '../kernel/instant.ts';
import { isName, NAME_RULE } from '../kernel/name.ts';
import { coveredBy, type AgreementSpec, type Commitment, type Discount, type OwnHardware } from './agreements.ts';
import { MAX_PRICE } from './price-book.ts';

/** Machines of one agreement. Higher overflows no sum, but is no number of machines either. */
const MAX_COUNT = 1_000_000;
const MAX_MONTHS = 600;
const CLOUDS: readonly string[] = ['aws', 'azure', 'gcp'];

interface Terms {
  readonly name: string;
  readonly spec: AgreementSpec;
  readonly validFrom: Instant;
  readonly validUntil: Instant | null;
}

/** Refuses what cannot have been agreed, and what would change what was paid already. */
export function checkAgreement({ name, spec, validFrom, validUntil }: Terms, now: Instant): Failure | null {
  if (!isName(name)) return wrong(['name'], `The name ${NAME_RULE}.`);
  if (validFrom < now) return wrong(['from'], 'It cannot begin in the past: what was paid is paid.');
  if (validUntil !== null && validUntil <= validFrom) return wrong(['until'], 'It must end after it begins.');
  if (spec.kind === 'discount') return checkDiscount(spec);
  if (!isCount(spec.count)) return wrong(['count'], `The count must be between 1 and ${MAX_COUNT}.`);
  return spec.kind === 'own_hardware' ? checkHardware(spec) : checkCommitment(spec);
}

const checkDiscount = ({ percentMilli }: Discount): Failure | null =>
  Number.isInteger(percentMilli) && percentMilli > 0 && percentMilli <= 100_000
    ? null
    : wrong(['percent'], 'The percentage must be above 0, at most 100, with at most three decimals.');

function checkCommitment({ covers, ratePerHour }: Commitment): Failure | null {
  if (covers.capacityType !== 'on_demand')
    return wrong(['covers', 'capacityType'], 'Only what is rented on demand is committed to.');
  return isAmount(ratePerHour) ? null : wrong(['ratePerHour'], 'The rate must not be negative.');
}

function checkHardware({ shape, months, watts, ...amounts }: OwnHardware): Failure | null {
  if (CLOUDS.includes(shape.provider)) return wrong(['provider'], 'A machine of your own is no offering of a cloud.');
  if (!isCount(shape.cpuMilli)) return wrong(['cpuMilli'], `The CPU must be between 1 and ${MAX_COUNT} thousandths.`);
  if (!Number.isInteger(months) || months < 1 || months > MAX_MONTHS)
    return wrong(['months'], `The months must be between 1 and ${MAX_MONTHS}.`);
  if (watts !== 0 && !isCount(watts)) return wrong(['watts'], 'The power must not be negative.');
  return checkAmounts(amounts);
}

type HardwareAmounts = Pick<OwnHardware, 'purchase' | 'residual' | 'perKilowattHour' | 'hostingPerMonth'>;

function checkAmounts({ purchase, residual, perKilowattHour, hostingPerMonth }: HardwareAmounts): Failure | null {
  if (![purchase, residual, perKilowattHour, hostingPerMonth].every(isAmount)) return wrong([], 'No amount may be negative.');
  return residual > purchase ? wrong(['residual'], 'It cannot be worth more in the end than it cost.') : null;
}

/** How many machines a savings plan pays for; a refusal when it is none. */
export function countOfPlan(committedPerHour: bigint, ratePerHour: bigint): number | Failure {
  const count = ratePerHour > 0n ? coveredBy(committedPerHour, ratePerHour) : 0;
  return count >= 1 ? count : wrong(['committedPerHour'], 'It must pay for at least one machine at this rate.');
}

const isCount = (count: number): boolean => Number.isInteger(count) && count >= 1 && count <= MAX_COUNT;

const isAmount = (amount: bigint): boolean => amount >= 0n && amount <= MAX_PRICE;

const wrong = (path: readonly string[], message: string): Failure =>
  failure('INVALID_INPUT', message, { path: ['input', ...path] });
