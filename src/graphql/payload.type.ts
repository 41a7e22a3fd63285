import { Field, ObjectType, registerEnumType } from 'type-graphql';
import { FAILURE_CODES, type Failure } from '../kernel/failure.ts';

export const UserErrorCode = Object.fromEntries(FAILURE_CODES.map((code) => [code, code])) as Record<
  Failure['code'],
  Failure['code']
>;

registerEnumType(UserErrorCode, {
  name: 'UserErrorCode',
  description: 'Why a mutation was refused.',
  valuesConfig: {
    INVALID_INPUT: { description: 'A field is wrong; `path` names it and `message` the mend.' },
    NOT_FOUND: { description: 'It does not exist, or you may not see it.' },
    ALREADY_EXISTS: { description: 'The name is taken.' },
    CONFLICT: { description: 'It changed since you looked: read again.' },
    IN_PROGRESS: { description: 'The same request is still running: repeat it later with the same key.' },
    PRECONDITION_FAILED: { description: 'Its present state does not allow this; see `allowedActions`.' },
    QUOTA_EXCEEDED: { description: 'A quota of the team or project would be exceeded.' },
    LIMIT_EXCEEDED: { description: 'A fixed limit would be exceeded.' },
    UNSUPPORTED: { description: 'This installation cannot do that.' },
    NO_CAPACITY: { description: 'No offering or pool fits; the plan says why each was rejected.' },
    NO_CONTAINER_RUNTIME: { description: 'The cluster has no container engine.' },
    DIGEST_MISMATCH: { description: 'The bytes do not have the digest that was promised.' },
    STALE_EPOCH: { description: 'Another control plane has taken over.' },
  },
});

@ObjectType('UserError', { description: 'A refusal that the caller can act on.' })
export class UserErrorType {
  @Field(() => UserErrorCode, { description: 'Machine-readable reason.' })
  code!: Failure['code'];

  @Field(() => String, { description: 'What is wrong and how to mend it.' })
  message!: string;

  @Field(() => [String], { nullable: true, description: 'Path of the input field, outermost first.' })
  path!: readonly string[] | null;

  @Field(() => String, { nullable: true, description: 'What to do next.' })
  hint!: string | null;
}

export const toUserErrors = (failures: readonly Failure[]): UserErrorType[] =>
  failures.map(({ code, message, path, hint }) => ({ code, message, path: path ?? null, hint: hint ?? null }));

@ObjectType()
export abstract class PayloadType {
  @Field(() => [UserErrorType], { description: 'Why it was refused; empty when it was done.' })
  userErrors!: UserErrorType[];
}
