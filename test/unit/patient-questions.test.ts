// Questions are promises that the test settles; the wait is short, and nothing else depends on time.
import { describe, expect, test } from 'vitest';
import { PatientQuestions } from '../../src/reconcile/patient-questions.ts';

describe('Patient questions', () => {
  test('an answer that is there is given, each time a new one', async () => {
    const questions = new PatientQuestions(1_000);
    let asked = 0;
    const ask = () => questions.ask('a', () => Promise.resolve((asked += 1)));
    expect([await ask(), await ask()]).toEqual([1, 2]);
    await expect(questions.ask('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await ask()).toBe(3);
  });

  test('one that hangs holds up nobody, is asked once, and its late answer is the next one’s', async () => {
    const questions = new PatientQuestions(5);
    const { promise, resolve } = Promise.withResolvers<string>();
    let asked = 0;
    const slow = () => questions.ask('slow', () => ((asked += 1), promise));
    const [first, other] = await Promise.all([slow(), questions.ask('quick', () => Promise.resolve('here'))]);
    expect([first, other, await slow(), asked]).toEqual([null, 'here', null, 1]);
    resolve('late');
    expect(await slow()).toBe('late');
    expect(await slow()).toBe('late');
    expect(asked).toBe(2);
  });

  test('what fails late fails for the next one, and breaks nothing before', async () => {
    const questions = new PatientQuestions(5);
    const { promise, reject } = Promise.withResolvers<string>();
    expect(await questions.ask('a', () => promise)).toBeNull();
    reject(new Error('too late'));
    await expect(questions.ask('a', () => Promise.resolve('unasked'))).rejects.toThrow('too late');
    expect(await questions.ask('a', () => Promise.resolve('asked'))).toBe('asked');
  });
});
