/** Decimals that are read at a glance: cents from one dollar on, three significant digits below. */
function glance(whole: string, fraction: string): number {
  const first = fraction.search(/[1-9]/);
  return whole !== '0' || first < 0 ? 2 : Math.max(2, first + 3);
}

/** An amount to its last digit, as the API gives it; the digits behind those that matter at a glance are paler, never cut. */
export function Money({ amount }: { readonly amount: string }) {
  const sign = amount.startsWith('-') ? '−' : '';
  const [whole = '0', fraction = ''] = amount.replace('-', '').split('.');
  const length = glance(whole, fraction);
  return (
    <data className="money" value={amount}>
      {sign}${whole}.{fraction.slice(0, length).padEnd(2, '0')}
      <span className="tail">{fraction.slice(length)}</span>
    </data>
  );
}
