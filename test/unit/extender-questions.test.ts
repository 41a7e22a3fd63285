// Questions as a scheduler, or somebody who pretends to be one, sends them: as large as the extender takes them. What is quadratic never ends here.
import { describe, expect, test } from 'vitest';
import { filterNodes, type NodeOffer, type PodAsk } from '../../src/kubernetes/extender/rate-nodes.ts';
import { readQuestion } from '../../src/kubernetes/extender/read-question.ts';

const ASK: PodAsk = {
  ...{ resources: { cpuMilli: 100, memoryMib: 64, accelerator: null }, capacityTypes: null },
  ...{ maxPricePerHour: null, priority: 0 },
};
const offer = (name: string, notice: string | null): NodeOffer => ({
  ...{ name, allocatable: { cpuMilli: 1_000, memoryMib: 1_024, accelerator: null } },
  ...{ capacityType: 'on_demand', pricePerHour: null, notice },
});
const pod = (spec: object) => ({ Pod: { metadata: {}, spec: { containers: [{ name: 'main' }], ...spec } }, NodeNames: ['a'] });

describe("In other clusters' schedulers: questions of any size", () => {
  test('of very many nodes those that will be taken away are left out', () => {
    const names = Array.from({ length: 250_000 }, (_, n) => `node-${n}`);
    const nodes = new Map(['node-7', 'node-249999'].map((name) => [name, offer(name, 'The market wants it back.')]));
    const { kept, failed } = filterNodes(ASK, names, nodes);
    expect(kept).toHaveLength(249_998);
    expect(failed).toEqual({ 'node-7': 'The market wants it back.', 'node-249999': 'The market wants it back.' });
  });

  test('where all will be taken away they are all kept', () => {
    const nodes = new Map(['a', 'b'].map((name) => [name, offer(name, 'soon')]));
    expect(filterNodes(ASK, ['a', 'b'], nodes)).toEqual({ kept: ['a', 'b'], failed: {} });
  });

  test.each<[string, unknown]>([
    ['names', { ...pod({}), NodeNames: Array<number>(500_000).fill(1) }],
    ['annotations', { ...pod({}), Pod: { ...pod({}).Pod, metadata: { annotations: manyNumbers() } } }],
    ['containers', pod({ containers: Array<object>(100_000).fill({}) })],
    ['quantities', pod({ overhead: manyNumbers() })],
  ])('very many %s that are none are refused in one sentence', (_, question) => {
    const answer = readQuestion(question);
    expect(answer.ok).toBe(false);
    expect(JSON.stringify(answer).length).toBeLessThan(1_000);
  });

  test('what a scheduler sends is read', () => {
    const asked = pod({ overhead: { cpu: '100m' }, initContainers: [{ name: 'first', resources: { requests: { cpu: '2' } } }] });
    expect(readQuestion(asked)).toMatchObject({ ok: true, value: { names: ['a'], ask: { ok: true } } });
  });
});

function manyNumbers(): Record<string, number> {
  return Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`key${n}`, n]));
}
