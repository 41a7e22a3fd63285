/** Not a message of the expected shape; the text is for the owner of the file. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}

/** What a parser needs next: bytes to look at, or bytes to pass over without keeping them. */
export type Need = { readonly take: number } | { readonly skip: number };

/** A parser that is fed from outside, so that a file larger than memory can be read as it streams by. */
export type Parser<T> = Generator<Need, T, Uint8Array>;

/** Where in the file a parser is. */
export interface Position {
  at: number;
}

/** What to do with a field: `number` gets varints, `bytes` gets length-delimited ones; a field without a visitor is passed over. */
export interface Visitor {
  number?(field: number, value: bigint): void;
  /** Returns the parser of its content, or null to pass it over. */
  bytes?(field: number, length: number): Parser<void> | null;
}

const MAX_VARINT_BYTES = 10;
const FIXED: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** Reads the fields of one Protocol Buffers message up to the absolute offset `end` (protobuf.dev, "Encoding"). */
export function* readMessage(position: Position, end: number, visitor: Visitor): Parser<void> {
  while (position.at < end) {
    const tag = Number(yield* readVarint(position, end));
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (field === 0) throw new Malformed('field number 0');
    if (wire === 0) {
      const value = yield* readVarint(position, end);
      visitor.number?.(field, value);
    } else if (wire === 2) yield* readDelimited(position, { end, field, visitor });
    else yield* skip(position, FIXED[wire] ?? refuseWire(wire), end);
  }
}

/** Text of `length` bytes; `maximum` keeps a hostile length from filling memory. */
export function* readText(position: Position, length: number, maximum: number): Parser<string> {
  if (length > maximum) throw new Malformed(`a name of ${length} bytes`);
  const bytes = length === 0 ? new Uint8Array() : yield { take: length };
  position.at += length;
  return new TextDecoder().decode(bytes);
}

function* readDelimited(
  position: Position,
  options: { readonly end: number; readonly field: number; readonly visitor: Visitor },
): Parser<void> {
  const length = Number(yield* readVarint(position, options.end));
  const after = position.at + length;
  if (after > options.end) throw new Malformed('a field that is longer than its message');
  const content = options.visitor.bytes?.(options.field, length) ?? null;
  if (content) yield* content;
  else yield* skip(position, length, options.end);
  if (position.at !== after) throw new Malformed('a field of another length than it says');
}

function* readVarint(position: Position, end: number): Parser<bigint> {
  let value = 0n;
  for (let index = 0; index < MAX_VARINT_BYTES; index += 1) {
    if (position.at >= end) throw new Malformed('a number that is cut off');
    const [byte = 0] = yield { take: 1 };
    position.at += 1;
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) return BigInt.asIntN(64, value);
  }
  throw new Malformed('a number of more than 64 bits');
}

function* skip(position: Position, length: number, end: number): Parser<void> {
  if (position.at + length > end) throw new Malformed('a field that is longer than its message');
  if (length > 0) yield { skip: length };
  position.at += length;
}

function refuseWire(wire: number): never {
  throw new Malformed(`wire type ${wire}`);
}
