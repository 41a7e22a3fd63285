import { mayDo, PLATFORM } from '../identity/authorize.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import { isName } from '../kernel/name.ts';
import type { Principal } from '../kernel/principal.ts';
import type { AdoptedObject } from './cluster.port.ts';
import type { DeploymentSpec } from './deployment.ts';

/** A DNS subdomain (RFC 1123). */
const OBJECT = /^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

/** What stands against taking over what somebody else made: that is for administrators, and for what is one thing in one place. */
export function refuseAdoption(
  principal: Principal,
  adopt: AdoptedObject | null,
  { format, spec }: { readonly format: string; readonly spec: Pick<DeploymentSpec, 'placement'> },
): Failure | null {
  if (!adopt) return null;
  const refuse = (code: 'PRECONDITION_FAILED' | 'INVALID_INPUT', message: string): Failure =>
    failure(code, message, { path: ['input', 'adopt'] });
  if (!mayDo(principal, 'runtime.adopt', PLATFORM))
    return refuse('PRECONDITION_FAILED', 'Taking over an object of the cluster needs the platform action runtime.adopt.');
  if (format !== 'container') return refuse('INVALID_INPUT', 'Only a model of format container can take over what runs already.');
  if ((spec.placement.clusters ?? []).length > 1) return refuse('INVALID_INPUT', 'What is taken over is in one cluster.');
  return isName(adopt.namespace) && OBJECT.test(adopt.name)
    ? null
    : refuse('INVALID_INPUT', 'It is named by a namespace and a name as Kubernetes has them.');
}
