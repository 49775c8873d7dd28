// Installs the packed package from the npm registry beside other versions of Fastify, and runs test/fixtures/smoke.mjs there with
// other versions of Node: `npm run test:compat`. Not part of `npm test`, which may not need a registry.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Versions as npm writes them. The first of each are the oldest that package.json allows. */
const nodes = ['20.19.0', '20', '22.0.0', '22', '24', '26']
const fastifys = ['5.0.0', '5.4.0', '5']
/** Milliseconds for one run, which takes less than a second. */
const timeout = 60_000

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'fastify-realtime-compat-'))
process.on('exit', () => rmSync(folder, { recursive: true }))

const npm = (cwd, ...args) => execFileSync('npm', args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] })

/** A folder with these packages installed. */
function install (name, ...packages) {
  const cwd = join(folder, name)
  mkdirSync(cwd)
  writeFileSync(join(cwd, 'package.json'), '{ "private": true, "type": "module" }')
  npm(cwd, 'install', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error', ...packages)
  return cwd
}

npm(root, 'pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', folder)
const tarball = join(folder, readdirSync(folder).find(file => file.endsWith('.tgz')))
const binaries = nodes.map(version => join(install(`node-${version}`, `node@${version}`), 'node_modules/node/bin/node'))
for (const version of fastifys) {
  const cwd = install(`fastify-${version}`, tarball, `fastify@${version}`, 'ws')
  cpSync(join(root, 'test/fixtures/smoke.mjs'), join(cwd, 'smoke.mjs'))
  for (const binary of [process.execPath, ...binaries]) {
    const { status, stdout, stderr } = spawnSync(binary, ['smoke.mjs'], { cwd, timeout, encoding: 'utf8' })
    console.log(status === 0 ? stdout.trim() : `${binary}, Fastify ${version}: failed\n${stdout}${stderr}`)
    if (status !== 0) process.exitCode = 1
  }
}
