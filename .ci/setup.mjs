// Installs what the tests need beside Node and npm: Debian's Chromium for the demo's page, Redis, and nginx. Where it may not install
// (not root, or no apt-get) it says what is missing; the tests that need it then skip, and CI fails on a skip.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const needed = [
  { binary: '/usr/bin/chromium', debian: 'chromium' },
  { binary: '/usr/sbin/ip', debian: 'iproute2' },
  { binary: '/usr/sbin/iptables', debian: 'iptables' },
  { binary: '/usr/sbin/nginx', debian: 'nginx' },
  { binary: '/usr/bin/redis-server', debian: 'redis-server' }
]
const missing = needed.filter(({ binary }) => !existsSync(binary)).map(({ debian }) => debian)
if (missing.length > 0) {
  const canInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  const apt = (...args) => spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }).status === 0
  const isInstalled = canInstall && apt('update', '-qq') && apt('install', '-y', '-qq', '--no-install-recommends', ...missing)
  if (!isInstalled) console.log(`Some tests will be skipped. To run them, install: ${missing.join(' ')}`)
}
