// Karpenter with its kwok provider, which makes node objects without machines; built once per machine from its Go module, like the cluster itself.
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cached, digestOf } from '../cluster/cache.ts';
import { findProgram, freePorts, log, run } from '../cluster/machine.ts';
import { Program } from '../cluster/processes.ts';

const SOURCES = import.meta.dirname;
const MODULE = 'sigs.k8s.io/karpenter';
/** Custom resources of Karpenter and of its kwok provider, inside the module. */
const DEFINITIONS = [join('pkg', 'apis', 'crds'), join('kwok', 'apis', 'crds')];
const LEAST_GO = [1, 26] as const;

/** False where Go is missing or too old for Karpenter's module. */
export function canBuildKarpenter(): boolean {
  const go = findProgram('go');
  if (go === undefined) return false;
  const [, major = '0', minor = '0'] = /go(\d+)\.(\d+)/.exec(execFileSync(go, ['version'], { encoding: 'utf8' })) ?? [];
  return Number(major) > LEAST_GO[0] || (Number(major) === LEAST_GO[0] && Number(minor) >= LEAST_GO[1]);
}

/** A folder with the program and its definitions; a minute and a half on a machine that has never made it. */
async function karpenterFolder(): Promise<string> {
  return cached(`karpenter-${digestOf(SOURCES, process.arch)}`, async (target) => {
    const go = findProgram('go') ?? 'go';
    log('building Karpenter from its Go module (once) …');
    const env = { CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-buildvcs=false -mod=readonly' };
    const flags = ['-trimpath', '-ldflags', '-s -w', '-o', join(target, 'karpenter')];
    await run([go, 'build', ...flags, `${MODULE}/kwok`], { cwd: SOURCES, env });
    const module = (await run([go, 'list', '-m', '-f', '{{.Dir}}', MODULE], { cwd: SOURCES, env })).trim();
    for (const folder of DEFINITIONS) cpSync(join(module, folder), join(target, 'definitions'), { recursive: true });
  });
}

export interface RunningKarpenter {
  readonly program: Program;
  /** What its metric says that the machines of a NodePool cost per hour; null = it does not say. */
  costOf(nodePool: string): Promise<number | null>;
}

export interface Karpenter {
  /** Files with its custom resource definitions. */
  readonly definitions: readonly string[];
  /** `instanceTypes`: a file with what kwok offers; the log is in `folder`. */
  start(options: { kubeconfig: string; folder: string; instanceTypes: string }): Promise<RunningKarpenter>;
}

export async function karpenter(): Promise<Karpenter> {
  const made = await karpenterFolder();
  const definitions = join(made, 'definitions');
  return {
    definitions: readdirSync(definitions).map((name) => join(definitions, name)),
    start: async ({ kubeconfig, folder, instanceTypes }) => {
      const [metrics = 0, health = 0] = await freePorts(2);
      const settings = {
        KUBECONFIG: kubeconfig,
        METRICS_PORT: String(metrics),
        HEALTH_PROBE_PORT: String(health),
        DISABLE_LEADER_ELECTION: 'true',
        FEATURE_GATES: 'NodeOverlay=true',
        SYSTEM_NAMESPACE: 'kube-system',
        INSTANCE_TYPES_FILE_PATH: instanceTypes,
      };
      const command = [join(made, 'karpenter')];
      const program = new Program({ command, env: settings, log: join(folder, 'karpenter.log'), cwd: folder });
      const costOf = async (nodePool: string): Promise<number | null> => {
        const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
        const value = new RegExp(`^karpenter_nodepools_cost_total\\{nodepool="${nodePool}"\\} (\\S+)$`, 'm').exec(text)?.[1];
        return value === undefined ? null : Number(value);
      };
      return { program, costOf };
    },
  };
}
