import t from 'tap'
import type { FastifyRequest } from 'fastify'
import { isLocal, isLoopback, isLoopbackHost, proxySignIn } from '../../../lib/server/access/local.js'
import { connect, outcome, start } from '../../harness.js'
import { nginxLocation } from '../../nginx.js'

const path = '/ws/notifications/u1'

const ofProxies = [
  'Forwarded', 'Via', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Forwarded-Port', 'X-Forwarded-Server', 'X-Forwarded-Prefix', 'X-Forwarded',
  'Forwarded-For', 'X-Forward-For', 'X_Forwarded_For', 'X-Real-IP', 'X-Real-Port', 'X-Client-IP', 'Client-IP', 'X-Cluster-Client-IP', 'True-Client-IP', 'X-True-IP',
  'X-Remote-IP', 'X-Remote-Addr', 'X-Remote-User', 'Remote-User', 'X-Originating-IP', 'X-Original-Forwarded-For', 'X-Original-Host', 'X-Original-URL', 'X-Original-URI',
  'X-Rewrite-URL', 'X-ProxyUser-Ip', 'WL-Proxy-Client-IP', 'Proxy-Client-IP', 'X-Proxy-Id', 'Proxy-Connection', 'Proxy-Authorization', 'CDN-Loop', 'Cdn-Src-Ip',
  'CF-Connecting-IP', 'CF-Connecting-IPv6', 'CF-Ray', 'CF-Visitor', 'CF-IPCountry', 'Cf-Worker', 'Fastly-Client-IP', 'Fastly-FF', 'Fastly-SSL', 'Fly-Client-IP', 'Fly-Region',
  'Akamai-Origin-Hop', 'X-Akamai-Edgescape', 'X-Akamai-Request-ID', 'X-Edge-Location', 'X-Amzn-Trace-Id', 'X-Amz-Cf-Id', 'CloudFront-Viewer-Address',
  'X-Appengine-User-IP', 'X-Appengine-Country', 'X-Cloud-Trace-Context', 'X-Goog-IAP-JWT-Assertion', 'X-Azure-ClientIP', 'X-Azure-SocketIP', 'X-Azure-Ref', 'X-FD-HealthProbe',
  'X-ARR-SSL', 'X-ARR-Log-ID', 'Disguised-Host', 'X-AppService-Proto', 'X-MS-Client-Principal', 'X-Envoy-External-Address', 'X-Envoy-Internal', 'X-Envoy-Peer-Metadata',
  'X-Vercel-Forwarded-For', 'X-Vercel-Id', 'X-NF-Client-Connection-IP', 'X-Sucuri-ClientIP', 'X-Varnish', 'Tailscale-User-Login', 'DO-Connecting-IP', 'X-Kong-Request-Id',
  'X-Scheme', 'X-URL-Scheme', 'Front-End-Https', 'X-SSL-Client-Cert', 'X-Client-Cert', 'X-Request-Start', 'X-Queue-Start', 'X-Auth-Request-User', 'X-Host', 'X-LB-Id'
]

/** Headers of browsers that open a WebSocket, and of tools and apps on the same machine. */
const ofClients = [
  'host', 'connection', 'upgrade', 'pragma', 'cache-control', 'user-agent', 'origin', 'cookie', 'authorization', 'accept', 'accept-encoding', 'accept-language',
  'sec-websocket-version', 'sec-websocket-key', 'sec-websocket-extensions', 'sec-websocket-protocol', 'sec-fetch-mode', 'sec-fetch-site', 'sec-fetch-dest', 'sec-gpc', 'dnt',
  'priority', 'upgrade-insecure-requests', 'sec-ch-ua-platform', 'referer', 'x-user', 'x-user-id', 'x-api-key', 'x-tenant', 'x-request-id', 'x-requested-with', 'x-csrf-token',
  'x-app-version', 'x-client-version', 'x-client-id', 'traceparent', 'tracestate', 'x-trip', 'x-zip-code', 'x-membership', 'x-viable'
]

t.test('the name of a proxy header is a sign of a proxy, also if its value is empty', async t => {
  for (const name of ofProxies) t.equal(proxySignIn({ host: 'localhost', [name.toLowerCase()]: '' }), name.toLowerCase(), name)
})

t.test('headers of clients on the same machine are not a sign of a proxy', async t => {
  for (const name of ofClients) t.equal(proxySignIn({ [name]: '127.0.0.1' }), undefined, name)
})

t.test('development mode refuses an upgrade with a proxy header, and accepts one with a header of a client', async t => {
  const { url } = await start(t)
  for (const name of ofProxies) t.equal(await outcome(url + path, { headers: { [name]: '127.0.0.1' } }), 403, name)
  for (const name of ofClients.filter(name => /^x-|^trace|^dnt/.test(name))) t.equal(await outcome(url + path, { headers: { [name]: '1' } }), 'ack', name)
})

t.test('the headers that the nginx snippet of docs/scaling.md adds are a sign of a proxy', async t => {
  const { url, port } = await start(t)
  const values: Record<string, string> = {
    $http_upgrade: 'websocket', '"upgrade"': 'upgrade', $http_host: `localhost:${port}`, $proxy_add_x_forwarded_for: '203.0.113.7', $scheme: 'http'
  }
  const lines = [...nginxLocation.matchAll(/proxy_set_header (\S+) (\S+);/g)]
  const headers = Object.fromEntries(lines.map(([, name, value]) => [name, values[value]]))
  t.notOk(Object.values(headers).includes(undefined as never), 'the test knows every variable of the snippet')
  t.equal(await outcome(url + path, { headers: { Host: headers.Host } }), 'ack', 'the Host of the client alone is accepted')
  t.equal(await outcome(url + path, { headers }), 403)
})

t.test('a request of injectWS is local, unless its headers show a proxy or another host', async t => {
  const { app } = await start(t)
  const socket = await app.injectWS(path)
  socket.terminate()
  await t.rejects(app.injectWS(path, { headers: { 'x-real-ip': '203.0.113.7' } }), /403/)
  await t.rejects(app.injectWS(path, { headers: { host: 'evil.example' } }), /403/)
})

t.test('a local request has a loopback peer, a loopback Host and no sign of a proxy', async t => {
  const request = (remoteAddress: string | undefined, headers: Record<string, string>) =>
    ({ raw: { socket: { remoteAddress } }, headers }) as unknown as FastifyRequest
  t.equal(isLocal(request('127.0.0.1', { host: 'localhost' })), true)
  t.equal(isLocal(request('::ffff:127.0.0.1', { host: '[::1]:3000' })), true)
  t.equal(isLocal(request('192.0.2.1', { host: 'localhost' })), false)
  t.equal(isLocal(request(undefined, { host: 'localhost' })), false, 'a socket without an address is not local')
  t.equal(isLocal(request('127.0.0.1', {})), false, 'a request without a Host is not local')
  t.equal(isLocal(request('127.0.0.1', { host: 'localhost', via: '1.1 x' })), false)
})

t.test('isLoopback() and isLoopbackHost() accept only loopback addresses and hosts', async t => {
  for (const address of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1']) t.equal(isLoopback(address), true, address)
  for (const address of [undefined, '', '10.0.0.1', '::', '::2', '::ffff:10.0.0.1', '127.0.0.1.evil.example']) t.equal(isLoopback(address), false, String(address))
  for (const host of ['localhost', 'LOCALHOST:3000', '127.0.0.1:1', '[::1]', '[::1]:3000']) t.equal(isLoopbackHost(host), true, host)
  for (const host of [undefined, '', 'localhost.evil.example', '127.0.0.1.evil.example', 'localhost@evil.example', 'a b']) t.equal(isLoopbackHost(host), false, String(host))
})

t.test('development mode accepts a client with custom headers', async t => {
  const { url } = await start(t)
  await connect(t, url + path, { headers: { 'x-api-key': 'k', authorization: 'Bearer t', cookie: 'a=b' } })
})
