// The SDK pointed at a server of the tests, for what an account's owner does beside Purser: clusters, queues, taking machines away.
import { CreateClusterCommand, EKSClient } from '@aws-sdk/client-eks';
import {
  DescribeInstancesCommand,
  DescribeSubnetsCommand,
  EC2Client,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';

/** Any will do: the server believes all. */
process.env['AWS_ACCESS_KEY_ID'] = 'test';
process.env['AWS_SECRET_ACCESS_KEY'] = 'test';

export interface AwsOwner {
  /** Ids of machines that run, whoever asked for them. */
  running(): Promise<string[]>;
  terminate(ids: readonly string[]): Promise<void>;
  /** A machine that nobody of ours asked for; its id. */
  start(tags: Readonly<Record<string, string>>): Promise<string>;
  subnets(): Promise<string[]>;
  makeCluster(name: string): Promise<void>;
  /** Answers its address. */
  makeQueue(name: string): Promise<string>;
  send(queueUrl: string, bodies: readonly string[]): Promise<void>;
  /** Messages in the queue, taken ones that were not deleted included. */
  messages(queueUrl: string): Promise<number>;
  close(): void;
}

export function awsOwner(endpoint: string, region: string): AwsOwner {
  const [ec2, eks, sqs] = [
    new EC2Client({ endpoint, region }),
    new EKSClient({ endpoint, region }),
    new SQSClient({ endpoint, region }),
  ];
  return {
    running: async () => {
      const filter = { Name: 'instance-state-name', Values: ['pending', 'running'] };
      const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ Filters: [filter] }));
      return Reservations.flatMap(({ Instances = [] }) => Instances.flatMap(({ InstanceId }) => InstanceId ?? [])).sort();
    },
    terminate: async (ids) => {
      await ec2.send(new TerminateInstancesCommand({ InstanceIds: [...ids] }));
    },
    start: async (tags) => {
      const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
      const TagSpecifications = [{ ResourceType: 'instance' as const, Tags }];
      const command = new RunInstancesCommand({ ImageId: 'ami-12c6146b', MinCount: 1, MaxCount: 1, TagSpecifications });
      return (await ec2.send(command)).Instances?.[0]?.InstanceId ?? '';
    },
    subnets: async () => {
      const { Subnets = [] } = await ec2.send(new DescribeSubnetsCommand({}));
      return Subnets.flatMap(({ SubnetId }) => SubnetId ?? []);
    },
    makeCluster: async (name) => {
      const [roleArn, resourcesVpcConfig] = ['arn:aws:iam::123456789012:role/eks', { subnetIds: [] }];
      await eks.send(new CreateClusterCommand({ name, roleArn, resourcesVpcConfig }));
    },
    makeQueue: async (name) => (await sqs.send(new CreateQueueCommand({ QueueName: name }))).QueueUrl ?? '',
    send: async (queueUrl, bodies) => {
      for (let at = 0; at < bodies.length; at += 10) {
        const entries = bodies.slice(at, at + 10).map((MessageBody, index) => ({ Id: String(index), MessageBody }));
        await sqs.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }));
      }
    },
    messages: async (queueUrl) => {
      const names = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const;
      const command = new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: [...names] });
      const { Attributes = {} } = await sqs.send(command);
      return names.reduce((sum, name) => sum + Number(Attributes[name]), 0);
    },
    close: () => {
      for (const client of [ec2, eks, sqs]) client.destroy();
    },
  };
}

/** A message as EventBridge puts it into a queue. */
export const spotWarning = (instanceId: string, time: number, type = 'EC2 Spot Instance Interruption Warning'): string =>
  JSON.stringify({
    ...{ version: '0', id: '12345678-1234-1234-1234-123456789012', source: 'aws.ec2', account: '123456789012' },
    ...{ 'detail-type': type, time: new Date(time).toISOString(), region: 'us-east-1' },
    resources: [`arn:aws:ec2:us-east-1:123456789012:instance/${instanceId}`],
    detail: { 'instance-id': instanceId, 'instance-action': 'terminate' },
  });
