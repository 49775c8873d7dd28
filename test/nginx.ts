import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnChild } from './children.js'
import { freePort, isListening } from './redis-server.js'
import { root } from './root.js'
import { eventually, within } from './waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

const binary = '/usr/sbin/nginx'

/** The `location` block that docs/scaling.md shows. */
export const nginxLocation = /```nginx\n(.*?)```/s.exec(readFileSync(join(root, 'docs/scaling.md'), 'utf8'))![1]

/** Reason to skip tests that need nginx, or `false`. */
export const skipNginx = existsSync(binary) ? false : `needs ${binary}`

/** An nginx in front of a server on loopback, configured as in docs/scaling.md. It ends with the test. */
export class Nginx {
  readonly port: number
  readonly #folder: string
  readonly #process: ChildProcess

  private constructor (port: number, target: number) {
    this.port = port
    this.#folder = mkdtempSync(join(tmpdir(), 'realtime-nginx-'))
    const config = join(this.#folder, 'nginx.conf')
    writeFileSync(config, configOf(this.#folder, port, target))
    // SIGTERM, because a killed master leaves its workers behind.
    this.#process = spawnChild(binary, ['-p', this.#folder, '-c', config, '-e', join(this.#folder, 'error.log')], { stdio: 'ignore' }, 'TERM')
  }

  static async start (t: Scope, target: number): Promise<Nginx> {
    const nginx = new Nginx(await freePort(), target)
    t.teardown(() => nginx.#end())
    await nginx.#listening()
    return nginx
  }

  get url (): string {
    return `ws://127.0.0.1:${this.port}`
  }

  /** Starts new workers. The old ones end their connections 100 ms later. */
  reload (): void {
    this.#process.kill('SIGHUP')
  }

  async #listening (): Promise<void> {
    let isUp = false
    await eventually(async () => (isUp = await isListening(this.port)) || this.#process.exitCode !== null)
    if (!isUp) throw new Error(readFileSync(join(this.#folder, 'error.log'), 'utf8'))
  }

  async #end (): Promise<void> {
    const exited = once(this.#process, 'exit')
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGTERM')
      await within(exited, 'the end of nginx')
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function configOf (folder: string, port: number, target: number): string {
  return `
daemon off;
worker_processes 1;
worker_shutdown_timeout 100ms;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
${nginxLocation.replace('127.0.0.1:3000', `127.0.0.1:${target}`)}  }
}
`
}
