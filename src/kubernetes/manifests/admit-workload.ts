import type { ApplyResult, WorkloadSpec } from '../../deployments/cluster.port.ts';
import type { ManifestSettings } from './manifest-settings.ts';

const PINNED = /@sha256:[0-9a-f]{64}$/;

/** Null if this cluster can run it, else the refusal. */
export function admitWorkload(spec: WorkloadSpec, settings: ManifestSettings): ApplyResult | null {
  return (spec.adopt ? null : admitRuntime(spec, settings)) ?? admitAccelerator(spec);
}

function admitRuntime({ runtime }: WorkloadSpec, { modelServerImage }: ManifestSettings): ApplyResult | null {
  if (runtime.format === 'process')
    return refused(
      'PROCESS_NOT_ALLOWED',
      'Kubernetes runs containers: register a version that names an image instead of a command.',
    );
  if (runtime.format === 'onnx')
    return modelServerImage === null
      ? refused('NO_MODEL_SERVER_IMAGE', 'This cluster has no image for ONNX models; its operator has to name one.')
      : null;
  return PINNED.test(runtime.image)
    ? null
    : refused(
        'IMAGE_NOT_PINNED',
        `The image ${runtime.image} can change under its name. Register a version that names it by digest: repository@sha256:….`,
      );
}

function admitAccelerator({ resources: { accelerator } }: WorkloadSpec): ApplyResult | null {
  return accelerator && accelerator.countMilli % 1000 !== 0
    ? refused('FRACTIONAL_ACCELERATOR', 'Kubernetes gives whole accelerators: ask for 1, 2, ….')
    : null;
}

export const refused = (reason: string, message: string): ApplyResult => ({ outcome: 'refused', reason, message });
