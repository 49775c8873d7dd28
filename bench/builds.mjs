// The two builds that are compared: that of the working tree, and that of a commit, which is built in a temporary folder.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UsageError } from './usage-error.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 }).trim()

/** Creates a folder that is removed when this process ends, also by an error or a signal. */
function temporaryFolder () {
  const folder = mkdtempSync(join(os.tmpdir(), 'fastify-realtime-bench-'))
  // A killed npm may still write files, so that the first attempt fails.
  process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
  return folder
}

/** Runs a program in a process group of its own, which ends with this process. Its output is shown when it fails. */
async function run (folder, command, ...args) {
  const child = spawn(command, args, { cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = () => process.kill(-child.pid, 'SIGKILL')
  child.on('spawn', () => process.on('exit', kill))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => { output += text })
  const [code, signal] = await once(child, 'close')
  process.off('exit', kill)
  if (code !== 0) throw new UsageError(`'${command} ${args.join(' ')}' ended with ${signal ?? code} in the build of the older commit:\n${output}`)
}

function hashOf (commit) {
  try {
    return git('rev-parse', '--verify', '--quiet', '--end-of-options', `${commit}^{commit}`)
  } catch (error) {
    if (error.code === 'ENOENT') throw new UsageError('--against needs git: install it', { cause: error })
    throw new UsageError(`There is no commit '${commit}' in this repository: give --against a hash, a branch or a tag that 'git log' knows`, { cause: error })
  }
}

/** Whether the commit has the same package-lock.json as the working tree. */
function hasSamePackages (folder) {
  const lockOf = from => existsSync(join(from, 'package-lock.json')) && readFileSync(join(from, 'package-lock.json'), 'utf8')
  return lockOf(folder) === lockOf(root)
}

/** Builds a commit with its own scripts. */
async function buildCommit (hash, name, folder) {
  mkdirSync(folder)
  await run(root, 'git', 'archive', '--format=tar', `--output=${folder}.tar`, hash)
  await run(folder, 'tar', '-xf', `${folder}.tar`)
  rmSync(`${folder}.tar`)
  if (hasSamePackages(folder)) {
    console.log(`Building ${name} with the packages that are installed here.`)
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir')
  } else {
    console.log(`The package-lock.json of ${name} differs: installing its packages (npm ci), then building. Differences can be those of a package, too.`)
    await run(folder, 'npm', 'ci', '--include=dev', '--no-audit', '--no-fund')
  }
  await run(folder, 'npm', 'run', 'build')
}

/** Copies the build of the working tree, so that a new build during the comparison does not affect it. */
function copyWorkingTree (folder) {
  if (!existsSync(join(root, 'dist/lib/index.js'))) throw new UsageError("The working tree is not built: run 'npm run build' first")
  mkdirSync(folder)
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir')
}

/** Builds the commit and returns the folders of both builds. */
export async function buildsAgainst (commit) {
  const hash = hashOf(commit)
  const short = git('rev-parse', '--short', hash)
  const name = hash.startsWith(commit) ? short : `${commit} (${short})`
  const folder = temporaryFolder()
  copyWorkingTree(join(folder, 'new'))
  await buildCommit(hash, name, join(folder, 'old'))
  return { hash, name, old: join(folder, 'old/dist/lib'), new: join(folder, 'new/dist/lib') }
}
