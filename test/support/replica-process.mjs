// A replica as a process of its own, so that it can be killed: answers each request after a few milliseconds.
import { createServer } from 'node:http';
const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  request.resume();
  request.once('end', () => setTimeout(() => response.end('{"outputs":[]}'), 3));
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
