import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'

const root = path.dirname(import.meta.dirname)
const files = readdirSync(path.join(root, 'lib'), { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts')).map(file => `lib/${file}`)

/** What a file imports, types included: paths of files in lib, or names of packages. */
const imports = new Map(files.map(file => {
  const text = readFileSync(path.join(root, file), 'utf8')
  const names = [...text.matchAll(/^(?:import|export)\b[^'=]*?\bfrom '([^'\n]+)'/gm)].map(match => match[1])
  return [file, names.map(name => name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name).replace(/\.js$/, '.ts') : name)]
}))

const folderOf = (file: string) => file.split('/').length > 2 ? file.split('/')[1] : file
const mayImport: Record<string, string[]> = {
  'lib/errors.ts': [],
  protocol: ['protocol'],
  brokers: ['brokers', 'protocol', 'lib/errors.ts'],
  server: ['server', 'brokers', 'protocol', 'lib/errors.ts'],
  testing: ['testing', 'brokers', 'protocol'],
  'lib/index.ts': ['server', 'brokers', 'protocol', 'lib/errors.ts']
}

t.test('imports go one way', async t => {
  for (const [file, names] of imports) {
    const allowed = mayImport[folderOf(file)]
    t.ok(allowed, `${file} is in a known folder`)
    for (const name of names.filter(name => name.startsWith('lib/'))) {
      t.ok(allowed.includes(folderOf(name)), `${file} imports ${name}`)
      t.ok(imports.has(name), `${name} exists`)
    }
  }
})

t.test('what client and server share needs neither Node nor Fastify', async t => {
  for (const [file, names] of imports) {
    if (folderOf(file) !== 'protocol') continue
    t.strictSame(names.filter(name => !name.startsWith('lib/') && !name.startsWith('@sinclair/')), [], file)
  }
})

t.test('there is no import cycle', async t => {
  const done = new Set<string>()
  const visit = (file: string, trail: string[]) => {
    if (trail.includes(file)) return t.fail([...trail, file].join(' → '))
    if (done.has(file)) return
    for (const name of imports.get(file) ?? []) visit(name, [...trail, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  t.equal(files.every(file => done.has(file)), true)
})
