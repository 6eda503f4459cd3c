// The npm package `nacos`: what it registers, beats, finds and is told. Says what it saw as JSON.
'use strict';

const { NacosNamingClient } = require('nacos');

const [server, username, password] = process.argv.slice(2);
const quiet = { info() {}, debug() {}, warn() {}, error() {}, log() {} };
const seen = {};

const until = async (what, ask) => {
  for (let n = 0; n < 600; n++) {
    if (await ask()) return;
    await new Promise(done => setTimeout(done, 50));
  }
  throw new Error(`in 30 s there was no ${what}`);
};

(async () => {
  const client = new NacosNamingClient({ logger: quiet, serverList: server, namespace: 'public', username, password });
  await client.ready();
  seen.status = await client.getServerStatus();
  await client.registerInstance('js', { ip: '10.0.0.7', port: 8002, weight: 2, metadata: { zone: 'a' } });
  const all = await client.getAllInstances('js', 'DEFAULT_GROUP', '', false);
  seen.hosts = all.map(host => [host.ip, host.port, host.weight, host.healthy, host.metadata.zone]);
  seen.selected = (await client.selectInstances('js', 'DEFAULT_GROUP', '', true, false)).length;
  seen.native = (await client.getAllInstances('native', 'DEFAULT_GROUP', '', false)).map(host => host.ip);
  let told = [];
  client.subscribe('js', hosts => { told = hosts.map(host => host.ip).sort(); });
  await until('first list', () => told.length === 1);
  await client.registerInstance('js', { ip: '10.0.0.8', port: 8002 });
  await until('second list', () => told.length === 2);
  seen.told = told;
  const list = await client._serverProxy.getServiceList(1, 10, 'DEFAULT_GROUP');
  seen.names = list.data;
  seen.beat = await client._serverProxy.sendBeat({ serviceName: 'DEFAULT_GROUP@@js', ip: '10.0.0.8', port: 8002, cluster: 'DEFAULT', weight: 1, metadata: {}, scheduled: true });
  await client.deregisterInstance('js', { ip: '10.0.0.8', port: 8002 });
  seen.left = (await client.getAllInstances('js', 'DEFAULT_GROUP', '', false)).map(host => host.ip);
  const stranger = new NacosNamingClient({ logger: quiet, serverList: server, namespace: 'public', username, password: 'wrong' });
  await stranger.ready();
  seen.stranger = await stranger.getServerStatus();
  console.log(JSON.stringify(seen));
  process.exit(0);
})().catch(error => { console.error(error); process.exit(1); });
