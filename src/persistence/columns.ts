import { Type } from '@mikro-orm/core';

/** `numeric(38,0)` ↔ bigint: money in pico-USD and other integers too large for a double. */
export class IntegerColumn extends Type<bigint, string> {
  override convertToDatabaseValue(value: bigint): string {
    return value.toString();
  }

  override convertToJSValue(value: bigint | string | number): bigint {
    return BigInt(value);
  }

  override compareAsType(): string {
    return 'string';
  }

  override getColumnType(): string {
    return 'numeric(38,0)';
  }
}

/** `bigint` ↔ number: instants in ms and counters, which stay far below 2⁵³. */
export class InstantColumn extends Type<number, number> {
  override convertToJSValue(value: number | string): number {
    return Number(value);
  }

  override compareAsType(): string {
    return 'number';
  }

  override getColumnType(): string {
    return 'bigint';
  }
}
