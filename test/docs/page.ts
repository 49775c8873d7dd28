// The pages of the documentation, and how the snippets in them are run.
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { transformSync } from 'esbuild'
import Fastify, { type FastifyInstance } from 'fastify'
import type t from 'tap'
import { WebSocket } from 'ws'
import realtime from '../../lib/index.js'
import { spawnChild } from '../children.js'
import { Client } from '../harness.js'
import { root } from '../root.js'
import { within } from '../waiting.js'

/** Every page, by its path from the root. */
export const pages = ['README.md', ...readdirSync(join(root, 'docs')).filter(file => file.endsWith('.md')).map(file => `docs/${file}`)]

/** What the package exports, by what is imported, and where it is in lib. */
export const exported: Record<string, string> = {
  'fastify-realtime': 'index',
  'fastify-realtime/client': 'client/index',
  'fastify-realtime/chat': 'client/chat/index',
  'fastify-realtime/browser': 'browser',
  'fastify-realtime/react': 'react/index',
  'fastify-realtime/ai-sdk': 'adapters/ai-sdk',
  'fastify-realtime/ai-sdk/server': 'adapters/ai-sdk-server',
  'fastify-realtime/ag-ui': 'adapters/ag-ui',
  'fastify-realtime/redis': 'redis',
  'fastify-realtime/publisher': 'publisher',
  'fastify-realtime/testing': 'testing/index'
}

export interface Snippet {
  /** From the comment above it; `undefined` where there is none. */
  name: string
  language: 'ts' | 'tsx' | 'js' | 'jsx' | 'html'
  code: string
}

export interface Running {
  /** Replacements for strings of the snippet. */
  replace?: Record<string, string>
  /** Replacements for globals that the snippet uses. */
  globals?: Record<string, unknown>
}

export interface Served {
  app: FastifyInstance
  host: string
  url: string
}

type Test = Pick<typeof t, 'teardown' | 'testdir'>
type Asserting = Test & Pick<typeof t, 'equal' | 'match' | 'same'>

let written = 0
const injected = new Map<string, object>()
Object.assign(globalThis, { [Symbol.for('docs')]: injected })

/** One page: its text, its tables and its snippets. */
export class Page {
  readonly file: string
  readonly text: string
  /** Every fence of a language that runs. The comment `<!-- test: name -->` above it is its name. */
  readonly snippets: Snippet[]
  readonly #ran = new Set<string>()

  /** `file`: path from the root, such as `docs/guide.md`. */
  constructor (file: string) {
    this.file = file
    this.text = readFileSync(join(root, file), 'utf8')
    this.snippets = [...this.text.matchAll(/(?:<!-- test: ([\w-]+) -->\n)?```(tsx?|jsx?|html)\n(.*?)\n```/gs)]
      .map(([, name, language, code]) => ({ name, language: language as Snippet['language'], code }))
  }

  snippet (name: string): Snippet {
    const snippet = this.snippets.find(snippet => snippet.name === name)
    if (snippet === undefined) throw new Error(`${this.file} has no snippet '${name}'`)
    return snippet
  }

  /** The rows of the table below a heading and a header row: each an array of cells. */
  table (heading: string, header: string): string[][] {
    const section = this.text.split(/^(?=##+ )/m).find(part => part.startsWith(`${heading}\n`))
    if (section === undefined) throw new Error(`${this.file} has no heading '${heading}'`)
    const lines = section.split('\n')
    const at = lines.indexOf(header)
    if (at === -1) throw new Error(`${this.file} has no table '${header}' below '${heading}'`)
    const end = lines.findIndex((line, index) => index > at && !line.startsWith('|'))
    return lines.slice(at + 2, end === -1 ? undefined : end).map(line => line.slice(2, -2).split(/ (?<!\\)\| /).map(cell => cell.trim()))
  }

  /** Asserts that each snippet has a name of its own and was run: the last test of a page. */
  allRan (t: Asserting): void {
    const names = this.snippets.map(({ name }) => name)
    t.equal(names.includes(undefined!), false, 'each has a name')
    t.same([...new Set(names)], names, 'and each its own')
    t.same([...this.#ran].sort(), [...names].sort(), 'each is run')
  }

  /** Marks a snippet that is run in another way, such as a page in a browser, and returns its code. */
  take (name: string): string {
    this.#ran.add(name)
    return this.snippet(name).code
  }

  /** Writes a snippet as a file of its own, with the library's source in place of the package. */
  write (t: Test, name: string, { replace = {}, globals = {} }: Running = {}): string {
    const file = join(t.testdir(), `${name}-${++written}.mjs`)
    let text = this.take(name)
    const replacements = { 'port: 3000': "port: 0, host: '127.0.0.1'", ...replace }
    for (const [from, to] of Object.entries(replacements)) text = text.replaceAll(from, to)
    for (const [name, file] of Object.entries(exported)) {
      text = text.replaceAll(`'${name}'`, `'${new URL(`../../lib/${file}.js`, import.meta.url).href}'`)
    }
    const given = Object.keys(globals)
    if (given.length > 0) {
      injected.set(file, globals)
      text = `const { ${given.join(', ')} } = globalThis[Symbol.for('docs')].get(${JSON.stringify(file)})\n${text}`
    }
    const own = ['app', 'socket', 'client', 'chat'].filter(name => new RegExp(`^const ${name} =`, 'm').test(text))
    if (own.length > 0) text += `\nexport { ${own.join(', ')} }\n`
    const tsconfigRaw = { compilerOptions: { verbatimModuleSyntax: true } }
    writeFileSync(file, transformSync(text, { loader: 'tsx', format: 'esm', target: 'node20', jsx: 'automatic', tsconfigRaw }).code)
    return file
  }

  /** Runs a snippet, and returns what it exports: `app`, `socket`, `client` and `chat` too, where it has them. */
  async run (t: Test, name: string, options?: Running): Promise<any> {
    return import(`file://${this.write(t, name, options)}`)
  }

  /** Runs a snippet that listens on port 3000, on a free port. */
  async serve (t: Test, name: string, options?: Running): Promise<Served> {
    const { app } = await this.run(t, name, options)
    t.teardown(() => app.close())
    return served(app)
  }

  /** Runs a snippet that exports a plugin of Fastify, in an app with this package. */
  async mount (t: Test, name: string, options = {}): Promise<Served> {
    const { default: plugin } = await this.run(t, name)
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(realtime)
    await app.register(plugin, options)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return served(app)
  }

  /** Runs a snippet of a page that has a `socket`. Returns the lines that it logs. */
  async browse (t: Test, name: string, host: string): Promise<string[]> {
    const { lines, console } = recorded()
    const { socket } = await this.run(t, name, { globals: { WebSocket, console, location: { host } } })
    t.teardown(() => socket.terminate())
    return lines
  }

  /** Runs a snippet that is a test of node:test. */
  async passes (t: Asserting, name: string): Promise<void> {
    const child = spawnChild(process.execPath, [...process.execArgv, this.write(t, name)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout!.on('data', chunk => { output += chunk })
    const [status] = await within(once(child, 'close'), `the end of the snippet '${name}'`)
    t.equal(status, 0, output)
    t.match(output, /pass 1\n/)
  }
}

function served (app: FastifyInstance): Served {
  const host = `127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return { app, host, url: `ws://${host}/ws` }
}

/** A console that keeps its lines. */
export function recorded (): { lines: string[], console: { log: (...parts: unknown[]) => void } } {
  const lines: string[] = []
  return { lines, console: { log: (...parts) => { lines.push(parts.join(' ')) } } }
}

export async function post (app: FastifyInstance, url: string, payload?: object): Promise<any> {
  const response = await app.inject({ method: 'POST', url, payload })
  if (response.statusCode >= 300) throw new Error(`${response.statusCode}: ${response.body}`)
  return response.json()
}

/** Close code with which the server refuses a connection. */
export async function refusal (t: Test, url: string, options?: ConstructorParameters<typeof Client>[1]): Promise<number> {
  const client = new Client(url, options)
  t.teardown(() => client.socket.terminate())
  return (await client.close()).code
}
