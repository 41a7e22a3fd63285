import { z } from 'zod';

/** What a setting must be, in the words of somebody who writes it. */
const THINGS: Readonly<Record<string, string>> = {
  array: 'a list in brackets',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  object: 'an object in braces',
  string: 'a text in quotes',
};

/** Formats with an example; the others are told as zod does. */
const FORMATS: Readonly<Record<string, string>> = {
  url: 'a URL like https://example.com/prices.csv',
  uuid: 'a UUID like 00000000-0000-4000-8000-000000000000',
};

/** Says of a wrong setting what it must be. `undefined` where zod, or the schema itself, has the better words. */
export const settingWords: z.core.$ZodErrorMap = (issue): string | undefined => {
  if (issue.code === 'invalid_type') return typeWords(issue);
  if (issue.code === 'unrecognized_keys') return keyWords(issue);
  if (issue.code === 'too_small' || issue.code === 'too_big') return boundWords(issue);
  if (issue.code === 'invalid_value')
    return `must be ${issue.values
      .map(String)
      .join(', ')
      .replace(/, ([^,]*)$/, ' or $1')}`;
  const format = issue.code === 'invalid_format' ? FORMATS[issue.format] : undefined;
  return format && `must be ${format}`;
};

type Wrong<C> = Extract<z.core.$ZodRawIssue, { readonly code: C }>;

function typeWords({ expected, input }: Wrong<'invalid_type'>): string | undefined {
  const thing = THINGS[expected];
  if (thing === undefined) return undefined;
  if (input === undefined) return `is missing: it must be ${thing}`;
  return `must be ${thing}${typeof input === 'string' && expected !== 'array' ? ', without quotes' : ''}`;
}

function keyWords({ keys, inst }: Wrong<'unrecognized_keys'>): string {
  const known = inst instanceof z.ZodObject ? `; the settings are ${Object.keys(inst.shape).join(', ')}` : '';
  return `there is no setting ${keys.map((key) => `"${key}"`).join(', ')}${known}`;
}

function boundWords(issue: Wrong<'too_small'> | Wrong<'too_big'>): string {
  const isSmall = issue.code === 'too_small';
  const bound = isSmall ? issue.minimum : issue.maximum;
  const unit = COUNTED[issue.origin];
  if (unit !== undefined)
    return isSmall && Number(bound) === 1 ? 'must not be empty' : `must have ${limit(isSmall)} ${bound} ${unit}`;
  return issue.inclusive === false ? `must be ${isSmall ? 'above' : 'below'} ${bound}` : `must be ${limit(isSmall)} ${bound}`;
}

const COUNTED: Readonly<Record<string, string>> = { array: 'entries', string: 'characters' };
const limit = (isSmall: boolean): string => (isSmall ? 'at least' : 'at most');
