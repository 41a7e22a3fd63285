// Rents nodes of the test cluster: the program behind the provider `command`. Its state is a file; machines are added and stopped over
// the cluster's control socket.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';

const [socketPath, stateFile, verb] = process.argv.slice(2);
const input = JSON.parse(readFileSync(0, 'utf8'));
const state = existsSync(stateFile) ? JSON.parse(readFileSync(stateFile, 'utf8')) : { made: 0, epoch: 0, pools: {} };
const save = () => writeFileSync(stateFile, JSON.stringify(state));
const answer = (value) => process.stdout.write(JSON.stringify(value));
const refuse = (reason, message) => ({ outcome: 'refused', reason, message, retryAfterMs: 1_000 });

const control = (operation, ...args) =>
  new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method: 'POST', path: '/' }, async (reply) => {
      let text = '';
      for await (const chunk of reply) text += chunk;
      const outcome = JSON.parse(text);
      if ('error' in outcome) reject(new Error(outcome.error));
      else resolve(outcome.value);
    });
    outgoing.once('error', reject);
    outgoing.end(JSON.stringify({ operation, args }));
  });

const isThere = ({ phase }) => phase === 'running';

async function start(known) {
  state.made += 1;
  const instanceId = `machine-${state.made}`;
  const taints = [{ key: 'purser.dev/pool', value: known.pool.labels['purser.dev/pool'], effect: 'NoSchedule' }];
  const reserved = known.pool.config.reservedCpu ? { cpu: known.pool.config.reservedCpu } : {};
  const shape = { labels: known.pool.labels, taints, reserved, providerId: `test:///${instanceId}` };
  const nodeName = await control('addNode', shape);
  known.nodes.push({ instanceId, nodeName, phase: 'running', since: Date.now() });
  save();
}

async function scale({ key, desired, release }) {
  const known = state.pools[key];
  if (!known) return refuse('NO_SUCH_POOL', key);
  const released = known.nodes.filter((node) => isThere(node) && release.includes(node.instanceId));
  const left = known.nodes.filter(isThere).length - released.length;
  if (desired < left) return refuse('NAME_MACHINES', `${left} would be left`);
  known.desired = desired;
  for (const node of released) {
    await control('stopNode', node.nodeName);
    Object.assign(node, { phase: 'gone', since: Date.now() });
  }
  save();
  for (let count = left; count < desired; count += 1) await start(known);
  return { outcome: 'accepted' };
}

const verbs = {
  ensurePool: ({ pool }) => {
    state.pools[pool.key] = { desired: 0, nodes: [], ...state.pools[pool.key], pool };
    return { outcome: 'accepted' };
  },
  scalePool: scale,
  deletePool: async ({ key }) => {
    for (const node of (state.pools[key]?.nodes ?? []).filter(isThere)) await control('stopNode', node.nodeName);
    delete state.pools[key];
    return { outcome: 'accepted' };
  },
  observeNodes: ({ key }) => {
    const known = state.pools[key];
    return known ? { desired: known.desired, nodes: known.nodes } : null;
  },
  interruptions: () => [],
};

const isStale = typeof input.epoch === 'number' && input.epoch < state.epoch;
if (typeof input.epoch === 'number') state.epoch = Math.max(state.epoch, input.epoch);
answer(isStale ? { outcome: 'stale_epoch' } : await verbs[verb](input));
save();
