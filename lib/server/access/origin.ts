import { quoted } from './quoted.js'

/** Whether a text is an origin as browsers send it: a scheme and a host, without a path. */
export function isOrigin (text: string): boolean {
  if (!URL.canParse(text)) return false
  const { origin } = new URL(text)
  // Of apps in a shell, like capacitor://localhost, URL does not tell the origin.
  return origin === text || (origin === 'null' && /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/.test(text))
}

/** The host of an origin, with its port; `undefined` when it has none. */
export function hostOf (origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

/** Why a page of `origin` may not connect, and what changes that; `undefined` when it may. */
export function originFault (origin: string, host: string | undefined, allowedOrigins: string[] | undefined): string | undefined {
  if (allowedOrigins?.includes(origin) ?? isSameHost(origin, host)) return undefined
  if (!isOrigin(origin)) return `the Origin ${quoted(origin)} is not that of a web page: a file and a frame in a sandbox have none. Serve the page over HTTP`
  if (allowedOrigins !== undefined) {
    const own = isSameHost(origin, host) ? ". It is this server's own, which the list has to name too" : ''
    return `the origin ${quoted(origin)} is not in 'allowedOrigins'. Add it, written like this, if its pages may connect${own}`
  }
  const compared = host === undefined || host === '' ? 'the request has no Host header' : `the Host header is ${quoted(host)}`
  return `the page comes from ${quoted(origin)}, and ${compared}. ` +
    'If a proxy is in between, it has to pass the Host header on (nginx: proxy_set_header Host $http_host;). ' +
    "If the page comes from another server, add its origin to 'allowedOrigins'"
}

/** With the origin's scheme, so that a default port counts the same whether it is written or not. */
function isSameHost (origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false
  const { protocol, host: originHost } = new URL(origin)
  const own = `${protocol}//${host}`
  return originHost !== '' && URL.canParse(own) && new URL(own).host === originHost
}
