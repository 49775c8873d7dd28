import { quoted } from './quoted.js'

/** Whether a text is an origin as browsers send it: scheme and host, without a path. */
export function isOrigin (text: string): boolean {
  if (!URL.canParse(text)) return false
  const { origin } = new URL(text)
  // For a custom scheme of an app shell, like capacitor://localhost, URL reports the origin 'null'.
  return origin === text || (origin === 'null' && /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/.test(text))
}

/** Host of an origin, with its port; `undefined` if it has none. */
export function hostOf (origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

/** Reason to refuse a page of `origin`, with the cure; `undefined` if it may connect. */
export function originFault (origin: string, host: string | undefined, allowedOrigins: string[] | undefined): string | undefined {
  if (allowedOrigins?.includes(origin) ?? isSameHost(origin, host)) return undefined
  if (!isOrigin(origin)) {
    return `the Origin ${quoted(origin)} is not that of a web page: files and sandboxed frames have no origin. Serve the page over HTTP`
  }
  if (allowedOrigins !== undefined) {
    const own = isSameHost(origin, host) ? ". It is this server's own origin, which the list must contain too" : ''
    return `the origin ${quoted(origin)} is not in 'allowedOrigins'. Add it, written like this, if its pages may connect${own}`
  }
  const compared = host === undefined || host === '' ? 'the request has no Host header' : `the Host header is ${quoted(host)}`
  return `the page comes from ${quoted(origin)}, and ${compared}. ` +
    'If a proxy is in between, it must forward the Host header (nginx: proxy_set_header Host $http_host;). ' +
    "If the page comes from another server, add its origin to 'allowedOrigins'"
}

/** Compares with the scheme of the origin, so that an explicit default port equals an implicit one. */
function isSameHost (origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false
  const { protocol, host: originHost } = new URL(origin)
  const own = `${protocol}//${host}`
  return originHost !== '' && URL.canParse(own) && new URL(own).host === originHost
}
