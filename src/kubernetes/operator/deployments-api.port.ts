import type { ModelDeployment } from './model-deployment.ts';

/** What the API shows of one deployment. */
export interface DeploymentView {
  readonly id: string;
  readonly phase: string;
  readonly manager: string | null;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly wishedReplicas: number;
  readonly readyReplicas: number;
  readonly revision: number | null;
  readonly url: string;
  /** USD per month of 730 hours as wished, as a decimal. */
  readonly monthlyCost: string;
  readonly ready: { readonly status: string; readonly reason: string; readonly message: string } | null;
}

/** What the API refused, in its own words. */
export interface ApiRefusal {
  readonly code: string;
  readonly message: string;
}

/** The API as an ordinary client uses it. Every method throws when nobody answers: nothing is known then, so nothing is concluded. */
export interface DeploymentsApi {
  /** Null for absent and for what the operator may not see. */
  find(path: string): Promise<DeploymentView | null>;
  /** Makes the deployment as wished, managed by `manager`. Safe to repeat: what is as wished changes nothing. */
  deploy(path: string, spec: ModelDeployment['spec'], manager: string): Promise<ApiRefusal | null>;
  /** Asks for its deletion; absent is no refusal. Safe to repeat. */
  remove(path: string, manager: string): Promise<ApiRefusal | null>;
  /** Told of the id of each deployment that something happened to, null = perhaps to all; goes on after breaks until the signal aborts. */
  follow(onChange: (deploymentId: string | null) => void, signal: AbortSignal): Promise<void>;
}
