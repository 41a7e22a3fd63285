/** An exact amount, cut for reading: cents from one dollar on, six decimals below. The full amount is in GraphQL. */
export function dollars(amount: string): string {
  const [whole = '0', fraction = ''] = amount.split('.');
  const digits = Number(whole) === 0 && fraction !== '' ? 6 : 2;
  return `$${whole}.${fraction.slice(0, digits).padEnd(digits, '0')}`;
}
