import { isIPv4 } from 'node:net'
import type { FastifyRequest } from 'fastify'

/** Words in header names, between hyphens, that only proxies have a reason to write. */
const words = [
  'forward', 'forwarded', 'forwards', 'via', 'proxy', 'proxied', 'proxyuser', 'original', 'originating', 'rewrite', 'upstream', 'ingress',
  'gateway', 'apigateway', 'apigw', 'lb', 'loadbalancer', 'balancer', 'cdn', 'edge', 'hops',
  // The address of a client other than the peer: X-Real-IP, True-Client-IP, CF-Connecting-IP, X-Azure-SocketIP.
  '(?:client|connecting|peer|real|remote|socket|source|user)?ips?',
  '(?:client|external|peer|real|remote|source)-(?:addr|address|cert|country|host|port|proto|user|verify)',
  // The connection between the client and the proxy: X-Scheme, X-URL-Scheme, Front-End-HTTPS, X-SSL-Cipher.
  'scheme', 'proto', 'https', 'ssl', 'tls', '(?:request|queue)-start'
]

/** First words of the headers of known proxies, tunnels, content delivery networks and hosting services; many follow `X-`. */
const vendors = [
  'akamai', 'amz', 'amzn', 'appengine', 'appservice', 'arr', 'auth-request', 'azure', 'cf', 'cloud', 'cloudflare', 'cloudfront', 'disguised', 'envoy',
  'fastly', 'fd', 'fly', 'goog', 'google', 'haproxy', 'heroku', 'host', 'istio', 'kong', 'ms', 'netlify', 'nf', 'nginx', 'ngrok', 'railway', 'render',
  'sucuri', 'tailscale', 'traefik', 'varnish', 'vercel', 'waws', 'wl', 'zscaler'
]

const proxySign = new RegExp(`^x-(?:${vendors.join('|')})(?:-|$)|^(?:${vendors.join('|')})-|(?:^|-)(?:${words.join('|')})(?:-|$)`)

/** Name of the first header that shows a proxy; `undefined` without one. A proxy that adds no header is not detected. */
export function proxySignIn (headers: FastifyRequest['headers']): string | undefined {
  return Object.keys(headers).find(name => proxySign.test(name.replaceAll('_', '-')))
}

/** Whether a request comes from this machine, is addressed to this machine, and shows no proxy. */
export function isLocal ({ raw, headers }: FastifyRequest): boolean {
  // A request of injectWS has no socket and comes from this process.
  const isInjected = raw.socket === undefined
  const isPeerLocal = isInjected || isLoopback(raw.socket.remoteAddress)
  const isHostLocal = headers.host === undefined ? isInjected : isLoopbackHost(headers.host)
  return isPeerLocal && isHostLocal && proxySignIn(headers) === undefined
}

/** Whether a Host header names this machine. */
export function isLoopbackHost (host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(`http://${host}`)) return false
  const { hostname } = new URL(`http://${host}`)
  return hostname === 'localhost' || isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'))
}

export function isLoopback (address: string | undefined): boolean {
  if (address === undefined) return false
  const plain = address.replace(/^::ffff:/, '')
  return address === '::1' || (isIPv4(plain) && plain.startsWith('127.'))
}
