import type { SpotRow } from './compare-spot.ts';

/** One picture, in px. */
const PANEL = { width: 380, height: 280, left: 52, right: 12, top: 34, bottom: 40 };
const COLUMNS = 3;
const LEGEND_HEIGHT = 46;

const COLORS: Readonly<Record<string, string>> = {
  purser: '#0b66c3',
  spothedge: '#d1571b',
  'fixed standby': '#6b7280',
  'single zone': '#9a7d0a',
  'on-demand': '#111827',
  clairvoyant: '#1a7f4b',
};

/** The share that is missing is shown on a scale of powers of ten, down to so little; it begins with the power that holds all of a panel. */
const LEAST_MISSING = 1e-5;
/** Lines of cost in a panel, at most. */
const MOST_TICKS = 6;

/** Cost over the clairvoyant's against the share filled, a picture per group; of each policy the settings that none of its own beats are joined. */
export function spotChart(rows: readonly SpotRow[]): string {
  const groups = [...Map.groupBy(rows, ({ group }) => group)];
  const width = COLUMNS * PANEL.width;
  const height = LEGEND_HEIGHT + Math.ceil(groups.length / COLUMNS) * PANEL.height;
  const panels = groups.map(([group, own], n) => {
    const [x, y] = [(n % COLUMNS) * PANEL.width, LEGEND_HEIGHT + Math.floor(n / COLUMNS) * PANEL.height];
    return `<g transform="translate(${x} ${y})">${panel(group, own)}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    legend(),
    ...panels,
    '</svg>\n',
  ].join('\n');
}

function legend(): string {
  const entries = Object.entries(COLORS).map(
    ([policy, color], n) =>
      `<circle cx="${PANEL.left + n * 120}" cy="32" r="4" fill="${color}"/><text x="${PANEL.left + 9 + n * 120}" y="36">${escape(policy)}</text>`,
  );
  return `<text x="${PANEL.left}" y="17" font-weight="600">Cost, as a multiple of the clairvoyant’s, against the share of time filled. Lower and further right is better.</text>${entries.join('')}`;
}

function panel(group: string, rows: readonly SpotRow[]): string {
  const scale = scaleOf(rows);
  const curves = [...Map.groupBy(rows, ({ policy }) => policy)].map(([policy, own]) => curve(policy, own, scale));
  return [`<text x="${PANEL.left}" y="20" font-weight="600">${escape(group)}</text>`, axes(scale), ...curves].join('');
}

interface Scale {
  readonly least: number;
  readonly most: number;
  /** Between two lines of cost. */
  readonly step: number;
  /** The largest share that is missing: a power of ten. */
  readonly missing: number;
}

/** In round numbers, so that lines of cost are where people expect them. */
function scaleOf(rows: readonly SpotRow[]): Scale {
  const costs = rows.map(({ costToClairvoyant }) => costToClairvoyant);
  const [least, most] = [Math.min(...costs), Math.max(...costs)];
  const missing = Math.max(LEAST_MISSING * 10, ...rows.map(({ filledShare }) => 1 - filledShare));
  const power = 10 ** Math.floor(Math.log10(Math.max(most - least, 0.01) / MOST_TICKS));
  const step = power * ([1, 2, 5, 10].find((one) => (most - least) / (one * power) <= MOST_TICKS - 1) ?? 10);
  const from = Math.floor(least / step) * step;
  const to = Math.max(from + step, Math.ceil(most / step) * step);
  return { least: from, most: to, step, missing: 10 ** Math.ceil(Math.log10(missing)) };
}

function axes(scale: Scale): string {
  const [bottom, right] = [PANEL.height - PANEL.bottom, PANEL.width - PANEL.right];
  const shares = [0.9, 0.99, 0.999, 0.9999, 1]
    .filter((share) => 1 - share <= scale.missing)
    .map((share) => {
      const x = xOf(share, scale).toFixed(1);
      const line = `<line x1="${x}" x2="${x}" y1="${PANEL.top}" y2="${bottom}" stroke="#e5e7eb"/>`;
      return `${line}<text x="${x}" y="${bottom + 15}" text-anchor="middle">${share === 1 ? 'all' : `${Number((share * 100).toFixed(2))} %`}</text>`;
    });
  const costs = Array.from({ length: Math.round((scale.most - scale.least) / scale.step) + 1 }, (_, n) => {
    const cost = scale.least + n * scale.step;
    const y = yOf(cost, scale).toFixed(1);
    const line = `<line x1="${PANEL.left}" x2="${right}" y1="${y}" y2="${y}" stroke="#e5e7eb"/>`;
    return `${line}<text x="${PANEL.left - 6}" y="${Number(y) + 4}" text-anchor="end">${cost.toFixed(2)}</text>`;
  });
  return [...shares, ...costs].join('');
}

function curve(policy: string, rows: readonly SpotRow[], scale: Scale): string {
  const color = COLORS[policy] ?? '#000';
  const at = (row: SpotRow): string =>
    `${xOf(row.filledShare, scale).toFixed(1)},${yOf(row.costToClairvoyant, scale).toFixed(1)}`;
  const best = frontier(rows);
  // A share is had at the price of the next point that has at least as much.
  const path = best.map((row, n) =>
    n === 0 ? `M${at(row)}` : `V${yOf(row.costToClairvoyant, scale).toFixed(1)}H${xOf(row.filledShare, scale).toFixed(1)}`,
  );
  const line = `<path d="${path.join('')}" fill="none" stroke="${color}" stroke-width="1.5"/>`;
  const points = rows.map((row) => {
    const [x, y] = at(row).split(',');
    const title = `${policy} ${row.setting}: ${row.costToClairvoyant.toFixed(3)} at ${(row.filledShare * 100).toFixed(3)} %`;
    return `<circle cx="${x}" cy="${y}" r="2.6" fill="${color}"><title>${escape(title)}</title></circle>`;
  });
  return line + points.join('');
}

/** The cheapest at each share, from the least filled on. */
function frontier(rows: readonly SpotRow[]): SpotRow[] {
  const dearest = [...rows].sort((a, b) => b.filledShare - a.filledShare || a.costToClairvoyant - b.costToClairvoyant);
  let least = Infinity;
  return dearest.filter(({ costToClairvoyant }) => costToClairvoyant < least && (least = costToClairvoyant) > 0).reverse();
}

function xOf(share: number, scale: Scale): number {
  const missing = Math.min(scale.missing, Math.max(LEAST_MISSING, 1 - share));
  const part = Math.log10(missing / scale.missing) / Math.log10(LEAST_MISSING / scale.missing);
  return PANEL.left + part * (PANEL.width - PANEL.left - PANEL.right - 12) + 6;
}

function yOf(cost: number, { least, most }: Scale): number {
  const height = PANEL.height - PANEL.top - PANEL.bottom;
  return PANEL.top + height - ((cost - least) / (most - least)) * height;
}

const escape = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
