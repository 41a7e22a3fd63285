/** True if the text is what the pattern says, where each `*` stands for any stretch of characters. In one walk through the text, whatever the pattern. */
export function matchesStars(pattern: string, text: string): boolean {
  if (!pattern.includes('*')) return pattern === text;
  const [start = '', ...rest] = pattern.split('*');
  const end = rest.pop() ?? '';
  if (!text.startsWith(start) || text.length < start.length + end.length || !text.endsWith(end)) return false;
  let at = start.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > text.length - end.length) return false;
    at = found + part.length;
  }
  return true;
}
