import { NodePricesClient } from '../../clients/operator/node-prices-client.ts';
import { invariant } from '../kernel/invariant.ts';
import { parseUsd } from '../kernel/money.ts';
import { ExtenderServer } from '../kubernetes/extender/extender-server.adapter.ts';
import { Extender } from '../kubernetes/extender/extender.ts';
import type { NodePrices } from '../kubernetes/extender/node-prices.port.ts';
import { openCompanion } from './cluster-companion.ts';
import { readSetting, type Config } from './config.ts';

/** `purser extender`: tells the scheduler of one cluster what its nodes cost, until SIGTERM or SIGINT. */
export async function extender(): Promise<void> {
  const { config, api, client, shared, run } = openCompanion('extender');
  const instance = new Extender({ ...shared, api, prices: pricesBy(new NodePricesClient(client, config.clusterName)) });
  const { host, extenderPort: port } = config;
  const server = new ExtenderServer(instance, { host, port, tls: tlsOf(config), logger: shared.logger });
  const start = (): Promise<unknown> => instance.start().then(() => server.listen());
  await run(start, () => Promise.all([server.close(), instance.stop()]));
  shared.logger.info({ cluster: config.clusterName, host, port }, 'the extender answers the scheduler');
}

const pricesBy = (client: NodePricesClient): NodePrices => ({
  read: async () => {
    const prices = await client.read();
    return new Map(
      [...prices].map(([name, text]) => {
        const price = parseUsd(text);
        invariant(price !== null, `the API says that ${name} costs ${text}`);
        return [name, price];
      }),
    );
  },
});

const tlsOf = ({ extenderTls: tls }: Config) =>
  tls && {
    cert: readSetting('PURSER_EXTENDER_TLS_CERT', tls.certFile),
    key: readSetting('PURSER_EXTENDER_TLS_KEY', tls.keyFile),
  };
