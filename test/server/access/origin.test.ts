import t from 'tap'
import { hostOf, isOrigin, originFault } from '../../../lib/server/access/origin.js'

t.test('a page may connect from the origin of the server, or from an origin in allowedOrigins', async t => {
  t.equal(originFault('https://app.example', 'app.example', undefined), undefined)
  t.equal(originFault('https://app.example', 'app.example:443', undefined), undefined)
  t.equal(originFault('https://app.example', 'api.example', ['https://app.example']), undefined)
  t.equal(hostOf('http://localhost:3000'), 'localhost:3000')
  t.equal(hostOf('null'), undefined)
  for (const origin of ['https://app.example', 'http://[::1]:3000', 'capacitor://localhost']) t.equal(isOrigin(origin), true, origin)
  const others = ['null', 'app.example', 'https://app.example/', 'https://app.example:443', 'file:///index.html', 'capacitor://localhost/index', ' capacitor://localhost']
  for (const text of others) t.equal(isOrigin(text), false, text)
})

t.test('an origin is refused if the request has no Host header, or if the origin is not that of a web page', async t => {
  t.match(originFault('https://undefined', undefined, undefined), /no Host header/)
  for (const host of ['', 'app.example']) t.match(originFault('file:///', host, undefined), /is not that of a web page/)
})

const rows: Array<[name: string, origin: string, host: string | undefined, allowed: string[] | undefined, says: RegExp, not: RegExp]> = [
  ['a proxy sends its own Host', 'https://app.example', '127.0.0.1:3000', undefined,
    /comes from "https:\/\/app\.example", and the Host header is "127\.0\.0\.1:3000".*proxy_set_header Host \$http_host;/, /^Add/],
  ['a proxy sends the Host without its port', 'http://app.example:8080', 'app.example', undefined, /the Host header is "app\.example".*\$http_host/, /^Add/],
  ['there is no Host', 'https://app.example', undefined, undefined, /the request has no Host header.*\$http_host/, /undefined/],
  ['the Host is empty', 'https://app.example', '', undefined, /the request has no Host header/, /""/],
  ['a dev server', 'http://localhost:5173', 'localhost:3000', undefined, /add its origin to 'allowedOrigins'/, /not in 'allowedOrigins'/],
  ['an origin that is not in the list', 'https://b.example', 'api.example', ['https://a.example'], /"https:\/\/b\.example" is not in 'allowedOrigins'\. Add it.* if its pages may connect$/, /Host|proxy/],
  ["the server's own origin, which is not in the list", 'https://api.example', 'api.example', ['https://a.example'], /Add it.*this server's own/, /proxy/],
  ['an empty list', 'https://b.example', 'b.example', [], /is not in 'allowedOrigins'/, /proxy/],
  ['a file', 'null', 'app.example', undefined, /files and sandboxed frames.*Serve the page over HTTP/, /allowedOrigins|proxy/],
  ['a file and a list', 'null', 'app.example', ['https://a.example'], /files and sandboxed frames/, /allowedOrigins/],
  ['a value that is not an origin', 'app.example', 'app.example', undefined, /"app\.example" is not that of a web page/, /allowedOrigins/],
  ['control characters', 'https://a\u009b.example', 'b\u001b', undefined, /"https:\/\/a\\u009b\.example"/, /[^\x20-\x7e]/],
  ['a long Host', 'https://a.example', 'h'.repeat(10_000), undefined, /the Host header is "h{100}\.\.\."/, /h{101}/]
]

for (const [name, origin, host, allowed, says, not] of rows) {
  t.test(`${name}: the refusal names the cause and its cure, and no other cause`, async t => {
    const fault = originFault(origin, host, allowed)
    t.match(fault, says)
    t.notMatch(fault, not)
  })
}
