/** Foreign JSON that does not have the promised shape; the message names the field, never its value. */
export class ContractError extends Error {
  override readonly name = 'ContractError';
}

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ContractError(`${where} must be an object`);
  return value as Fields;
}

export function listOf<T>(value: unknown, where: string, read: (item: unknown, where: string) => T): T[] {
  if (!Array.isArray(value)) throw new ContractError(`${where} must be a list`);
  return value.map((item, index) => read(item, `${where}[${index}]`));
}

export function text(value: unknown, where: string): string {
  if (typeof value !== 'string') throw new ContractError(`${where} must be a string`);
  return value;
}

export const textOrNull = (value: unknown, where: string): string | null => (value === null ? null : text(value, where));

/** An integer that is exact and not negative. */
export function count(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new ContractError(`${where} must be a whole number ≥ 0`);
  return value;
}

export const countOrNull = (value: unknown, where: string): number | null => (value === null ? null : count(value, where));

export function flag(value: unknown, where: string): boolean {
  if (typeof value !== 'boolean') throw new ContractError(`${where} must be true or false`);
  return value;
}

export function oneOf<const T extends string>(values: readonly T[], value: unknown, where: string): T {
  const found = values.find((known) => known === value);
  if (found === undefined) throw new ContractError(`${where} must be one of ${values.join(', ')}`);
  return found;
}

/** A decimal string of a whole number ≥ 0. */
export function wholeText(value: unknown, where: string): string {
  const digits = text(value, where);
  if (!/^\d{1,38}$/.test(digits)) throw new ContractError(`${where} must be a whole number in decimal digits`);
  return digits;
}
