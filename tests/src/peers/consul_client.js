// The npm package `consul`: what it registers, checks, finds and watches. Says what it saw as JSON.
'use strict';

const Consul = require('consul');

const [server, token] = process.argv.slice(2);
const [host, port] = server.split(':');
const client = new Consul({ host, port, defaults: { token } });
const seen = {};

(async () => {
  await client.agent.service.register({ name: 'js-web', id: 'js-web-1', address: '10.0.0.7', port: 80, tags: ['v1'], meta: { zone: 'a' }, check: { ttl: '10s' } });
  const watch = client.watch({ method: client.health.service, options: { service: 'js-web', passing: true, wait: '20s' }, backoffFactor: 100 });
  const changes = [];
  const changed = new Promise((done, failed) => {
    watch.on('change', data => {
      changes.push(data.map(one => one.Service.ID));
      if (changes.length === 1) client.agent.check.pass('service:js-web-1').catch(failed);
      else done();
    });
    watch.on('error', failed);
  });
  await changed;
  watch.end();
  seen.changes = changes;
  const [found] = await client.health.service({ service: 'js-web', passing: true });
  seen.found = [found.Service.Address, found.Service.Port, found.Service.Tags, found.Service.Meta];
  seen.names = Object.keys(await client.catalog.service.list()).sort();
  seen.native = (await client.catalog.service.nodes('native')).map(one => one.ServiceAddress);
  seen.nodes = (await client.catalog.node.list()).map(node => node.Node);
  seen.datacenter = (await client.agent.self()).Config.Datacenter;
  seen.leader = await client.status.leader();
  seen.agent = Object.keys(await client.agent.service.list()).sort();
  await client.agent.check.fail({ id: 'service:js-web-1', note: 'gone' });
  seen.failed = (await client.health.checks('js-web')).map(check => [check.Status, check.Output]);
  await client.agent.service.maintenance({ id: 'js-web-1', enable: true, reason: 'new disk' });
  seen.maintained = (await client.health.checks('js-web')).length;
  await client.agent.service.deregister('js-web-1');
  seen.left = await client.catalog.service.nodes('js-web');
  const stranger = new Consul({ host, port, defaults: { token: 'looma_wrong' } });
  seen.stranger = await stranger.catalog.service.list().then(() => 'let in', error => error.statusCode);
  console.log(JSON.stringify(seen));
  process.exit(0);
})().catch(error => { console.error(error); process.exit(1); });
