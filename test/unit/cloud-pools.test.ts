// The pure parts that adapters of clouds share: exact decimals, what makes a wish true, and what is told of machines that are gone.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decimalText, divided, halved, parseDecimal, plus, roundedTo, times } from '../../src/clouds/decimal.ts';
import { MachineMemory } from '../../src/clouds/machine-memory.ts';
import { planScale, type ListedMachine, type ScaleInput } from '../../src/clouds/plan-scale.ts';
import { EMPTY_BOOK, tidied, type Rental } from '../../src/clouds/rentals.ts';
import { agentPoolNames, machineIdOf, scaleSetNames } from '../../src/clouds/azure/pool-names.ts';
import { resultOf as azureResult } from '../../src/clouds/azure/azure-refusals.ts';
import { machineNames, nameOf } from '../../src/clouds/gcp/gcp-pool.ts';
import { resultOf as gcpResult } from '../../src/clouds/gcp/gcp-refusals.ts';
import { HOUR_MS } from '../../src/kernel/instant.ts';

describe('Cloud port: exact decimals', () => {
  const decimal = fc.record({
    digits: fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
    scale: fc.integer({ min: 0, max: 20 }),
  });
  const same = (a: string, b: string): boolean => a === b;

  test('what is written is read back, sums and products keep every digit', () => {
    fc.assert(
      fc.property(decimal, decimal, (a, b) => {
        expect(decimalText(parseDecimal(decimalText(a))!)).toBe(decimalText(a));
        // a·b + b·b = (a + b)·b, and a half twice is the whole.
        const sum = plus(times(a, b), times(b, b));
        expect(same(decimalText(sum), decimalText(times(plus(a, b), b)))).toBe(true);
        expect(decimalText(plus(halved(a, 1), halved(a, 1)))).toBe(decimalText(a));
      }),
    );
  });

  test.each([
    ['0.0960', '0.096', 96_000_000_000n],
    ['4.5E-05', '0.000045', 45_000_000n],
    ['1e3', '1000', 1_000n * 10n ** 12n],
    ['-0.0000000000005', '-0.0000000000005', -1n],
    ['0.00000000000049', '0.00000000000049', 0n],
    ['0', '0', 0n],
  ])('%s is %s, and %s pico-dollars', (text, written, pico) => {
    const read = parseDecimal(text)!;
    expect([decimalText(read), roundedTo(read, 12)]).toEqual([written, pico]);
  });

  test.each([
    ['1', 3n, 4, '0.3333'],
    ['2', 3n, 4, '0.6667'],
    ['-2', 3n, 4, '-0.6667'],
    ['0.00005', 1n, 4, '0.0001'],
    ['12.5', -5n, 0, '-3'],
  ])('%s divided by %s to %i decimals is %s', (text, by, scale, result) => {
    expect(decimalText(divided(parseDecimal(text)!, by, scale))).toBe(result);
  });

  test('a text of more digits than any price is no number', () => {
    expect(parseDecimal('9'.repeat(100))).not.toBeNull();
    expect(parseDecimal('9'.repeat(101))).toBeNull();
    expect(parseDecimal(`0.${'9'.repeat(101)}`)).toBeNull();
  });

  test.each(['', 'NaN', 'Infinity', '1,5', '0x10', '.5', '1e9999', 'null'])('%j is no number', (text) => {
    expect(parseDecimal(text)).toBeNull();
  });
});

describe("Cloud port: machines of one's own", () => {
  test('one that was given back with its pool is remembered until it is at rest, however long that takes', () => {
    const stopped = (instanceId: string, goneAt: number | null): Rental => ({
      ...{ instanceId, nodeName: null, startedAt: 0, runningAt: 0, stoppedAt: 10, goneAt, notice: null },
      kind: { region: 'here', zone: 'a', instanceType: 'big', capacityType: 'on_demand' },
    });
    const book = { ...EMPTY_BOOK, past: [stopped('at-rest.1', 20), stopped('awake.2', null)] };
    const { past } = tidied(book, { now: 9 * HOUR_MS, before: 8 * HOUR_MS });
    expect(past.map(({ instanceId }) => instanceId)).toEqual(['awake.2']);
  });
});

const machine = (instanceId: string, more: Partial<ListedMachine> = {}): ListedMachine => ({
  ...{ instanceId, nodeName: instanceId, phase: 'running', since: null, isBroken: false, ...more },
});

describe('Cloud port: what makes a wish true', () => {
  const three = [machine('a'), machine('b', { phase: 'starting' }), machine('c')];
  const wish = (machines: ListedMachine[], coming: number, desired: number, release: string[]): ScaleInput => ({
    ...{ machines, coming, wish: { desired, release } },
  });
  const broken = machine('x', { phase: 'starting', isBroken: true });

  test.each<[string, ScaleInput, unknown]>([
    ['as many as there are', wish(three, 0, 3, []), { kind: 'act', release: [], grow: 0 }],
    ['more', wish(three, 0, 5, []), { kind: 'act', release: [], grow: 2 }],
    ['more, of which some are coming', wish(three, 2, 5, []), { kind: 'act', release: [], grow: 0 }],
    ['fewer without names', wish(three, 0, 2, []), { kind: 'refuse', left: 3 }],
    ['fewer while some are coming', wish(three, 1, 3, []), { kind: 'refuse', left: 4 }],
    ['fewer by name', wish(three, 0, 2, ['b']), { kind: 'act', release: ['b'], grow: 0 }],
    ['one instead of another', wish(three, 0, 3, ['a']), { kind: 'act', release: ['a'], grow: 1 }],
    ['names that are gone already', wish(three, 0, 3, ['z']), { kind: 'act', release: [], grow: 0 }],
    [
      'a name that is stopping already',
      wish([machine('a', { phase: 'stopping' })], 0, 0, ['a']),
      { kind: 'act', release: [], grow: 0 },
    ],
    [
      'as many as work: what is broken is cleared away',
      wish([...three, broken], 0, 3, []),
      { kind: 'act', release: ['x'], grow: 0 },
    ],
  ])('%s', (_, input, plan) => {
    expect(planScale(input)).toEqual(plan);
  });
});

describe('Cloud port: machines that are gone', () => {
  const phases = (memory: MachineMemory, listed: ListedMachine[], now: number) =>
    memory.complete('pool', listed, now).map(({ instanceId, phase, since }) => `${instanceId} ${phase} ${since}`);

  test('one that was given back is gone when it is not listed; one that nobody gave back may only have been overlooked', () => {
    const memory = new MachineMemory();
    expect(phases(memory, [machine('a'), machine('b')], 1)).toEqual(['a running 1', 'b running 1']);
    memory.leaving('pool', ['a']);
    expect(phases(memory, [], 2)).toEqual(['a gone 2', 'b stopping 2']);
    expect(phases(memory, [machine('b')], 3)).toEqual(['a gone 2', 'b running 3']);
    expect(phases(memory, [], 4)).toEqual(['a gone 2', 'b stopping 4']);
    // However often lists that lag leave it out within a short while.
    for (let at = 5_000; at < 120_000; at += 5_000) expect(phases(memory, [], at)).toEqual(['a gone 2', 'b stopping 4']);
    expect(phases(memory, [machine('b')], 120_003)).toEqual(['a gone 2', 'b running 120003']);
    expect(phases(memory, [], 130_000)).toEqual(['a gone 2', 'b stopping 130000']);
    expect(phases(memory, [], 250_000)).toEqual(['a gone 2', 'b gone 250000']);
  });

  test('it is told for at least an hour, and then forgotten; so is a pool', () => {
    const memory = new MachineMemory();
    phases(memory, [machine('a', { phase: 'stopping' })], 0);
    expect(phases(memory, [], 1)).toEqual(['a gone 1']);
    expect(phases(memory, [], 1 + HOUR_MS)).toEqual(['a gone 1']);
    expect(phases(memory, [], 3 * HOUR_MS)).toEqual([]);
    phases(memory, [machine('b')], 4 * HOUR_MS);
    memory.forget('pool');
    expect(phases(memory, [], 4 * HOUR_MS)).toEqual([]);
  });

  test('a phase has lasted since the provider says, or since it was first seen; a broken machine is on its way out', () => {
    const memory = new MachineMemory();
    expect(phases(memory, [machine('a', { since: 5 }), machine('b', { isBroken: true })], 9)).toEqual([
      'a running 5',
      'b stopping 9',
    ]);
    expect(phases(memory, [machine('a'), machine('b', { phase: 'stopping' })], 20)).toEqual(['a running 5', 'b stopping 9']);
  });
});

describe('Cloud port: names of pools and machines', () => {
  const key = 'an-installation/Cluster_with.a-very-long-name/pool-of-many-machines';

  test('names are as long as each cloud allows, and differ by the whole key', () => {
    expect(nameOf(key)).toMatch(/^[a-z][-a-z0-9]{0,38}[a-z0-9]$/);
    expect(agentPoolNames(key, 0).now).toMatch(/^[a-z][a-z0-9]{11}$/);
    expect(scaleSetNames(key, 0).now).toMatch(/^[a-z][-a-z0-9]{0,50}[a-z0-9]$/);
    for (const name of [
      nameOf,
      (one: string) => agentPoolNames(one, 0).now.slice(0, 7),
      (one: string) => scaleSetNames(one, 0).now,
    ])
      expect(name(`${key}2`)).not.toBe(name(key));
  });

  test('of Azure, a pool that is made again a minute later has another name, and can be looked for under the one before', () => {
    const [first, later] = [agentPoolNames(key, 60_000), agentPoolNames(key, 120_000)];
    expect(later.now).not.toBe(first.now);
    expect(later.before).toBe(first.now);
  });

  test('of Google, numbers go on, and a group that is made again gives others', () => {
    const names = (groupId: string, named: number) => machineNames({ name: 'purser-a', groupId, named, count: 2 });
    expect(names('1', 0)).not.toEqual(names('2', 0));
    expect(names('1', 34).map((name) => name.slice(-4))).toEqual(['000z', '0010']);
    expect(names('1', 0)[0]).toMatch(/^[a-z][-a-z0-9]{0,61}[a-z0-9]$/);
  });

  test('of a machine of a scale set, wherever it is written', () => {
    expect(machineIdOf('/subscriptions/1/providers/Microsoft.Compute/virtualMachineScaleSets/AKS-P/virtualMachines/12')).toBe(
      'aks-p_12',
    );
    expect(machineIdOf('/subscriptions/1/providers/Microsoft.Compute/virtualMachines/one')).toBeNull();
  });
});

describe('Cloud port: what a refusal means', () => {
  test.each([
    [400, 'SkuNotAvailable', 'no', 'STOCK_OUT'],
    [200, 'AllocationFailed', 'no', 'STOCK_OUT'],
    [400, 'ZonalAllocationFailed', 'no', 'STOCK_OUT'],
    [400, 'OverconstrainedAllocationRequest', 'no', 'STOCK_OUT'],
    [400, 'ReconcileVMSSAgentPoolFailed', 'Code="OverconstrainedZonalAllocationRequest" Message="no"', 'STOCK_OUT'],
    [409, 'OperationNotAllowed', 'exceeding approved Total Regional Cores quota', 'QUOTA'],
    [400, 'ErrCode_InsufficientVCPUQuota', 'no', 'QUOTA'],
    [400, 'QuotaExceeded', 'no', 'QUOTA'],
    [409, 'OperationNotAllowed', 'another operation is in progress', null],
    [412, 'PreconditionFailed', 'etag', null],
    [403, 'AuthorizationFailed', 'no', null],
    [400, 'InvalidParameter', 'no', 'INVALID'],
  ])('Azure: %d %s "%s" is %s', (status, code, message, reason) => {
    expect(azureResult({ status, code, message })).toEqual(reason === null ? null : expect.objectContaining({ reason }));
  });

  test.each([
    [400, 'ZONE_RESOURCE_POOL_EXHAUSTED', 'no', 'STOCK_OUT'],
    [400, 'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS', 'no', 'STOCK_OUT'],
    [400, '8', '[GCE_STOCKOUT]: no resources', 'STOCK_OUT'],
    [400, 'QUOTA_EXCEEDED', 'no', 'QUOTA'],
    [403, 'quotaExceeded', 'no', 'QUOTA'],
    [403, 'rateLimitExceeded', 'slower', null],
    [403, 'forbidden', 'no', null],
    [412, 'conditionNotMet', 'fingerprint', null],
    [400, 'FAILED_PRECONDITION', 'another operation', null],
    [400, 'invalid', 'no', 'INVALID'],
  ])('Google: %d %s "%s" is %s', (status, code, message, reason) => {
    expect(gcpResult({ status, code, message })).toEqual(reason === null ? null : expect.objectContaining({ reason }));
  });
});
