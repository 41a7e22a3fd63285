/** True if the region (`aws/us-east-1`) is meant by the pattern: itself, or with `*` for any stretch of characters (`aws/*`, `*us-*`). */
export function meansRegion(pattern: string, region: string): boolean {
  if (!pattern.includes('*')) return pattern === region;
  const [start = '', ...rest] = pattern.split('*');
  const end = rest.pop() ?? '';
  if (!region.startsWith(start) || region.length < start.length + end.length || !region.endsWith(end)) return false;
  let at = start.length;
  for (const part of rest) {
    const found = region.indexOf(part, at);
    if (found < 0 || found + part.length > region.length - end.length) return false;
    at = found + part.length;
  }
  return true;
}

export const meansAnyRegion = (patterns: readonly string[], region: string): boolean =>
  patterns.some((pattern) => meansRegion(pattern, region));
