import type { ModelDeployment } from './model-deployment.ts';

/** What the API shows of one deployment. */
export interface DeploymentView {
  readonly phase: string;
  readonly manager: string | null;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly wishedReplicas: number;
  readonly readyReplicas: number;
  readonly revision: number | null;
  readonly url: string;
  /** USD as a decimal. */
  readonly hourlyCost: string;
  readonly ready: { readonly status: 'True' | 'False' | 'Unknown'; readonly reason: string; readonly message: string } | null;
}

/** What the API refused, in its own words. */
export interface ApiRefusal {
  readonly code: string;
  readonly message: string;
}

/** The API could not be asked: nothing is known, so nothing is concluded. */
export class ApiUnavailable extends Error {
  override readonly name = 'ApiUnavailable';
}

/** The API as an ordinary client uses it. Every method throws `ApiUnavailable` when nobody answers. */
export interface DeploymentsApi {
  /** Null for absent and for what the operator may not see. */
  find(path: string): Promise<DeploymentView | null>;
  /** Makes the deployment as wished, managed by `manager`. Safe to repeat: what is as wished changes nothing. */
  deploy(path: string, spec: ModelDeployment['spec'], manager: string): Promise<ApiRefusal | null>;
  /** Asks for its deletion; absent is no refusal. Safe to repeat. */
  remove(path: string, manager: string): Promise<ApiRefusal | null>;
  /** Calls `onChange` with the paths that changed, until the signal aborts; goes on after breaks without loss. */
  follow(onChange: (path: string) => void, signal: AbortSignal): Promise<void>;
}
