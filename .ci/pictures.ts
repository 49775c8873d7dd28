// Makes the pictures of the demo in docs/images: `npm run docs:pictures`. Needs Chromium and a font with emoji, such as Debian's
// fonts-noto-color-emoji.
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { chromium, type Page } from 'playwright-core'
import { build } from '../examples/server.js'
import { executablePath } from '../test/chromium.js'

const folder = fileURLToPath(new URL('../docs/images/', import.meta.url))

const app = await build({ refresh: 250 })
await app.listen({ host: '127.0.0.1', port: 0 })
const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu'] })

async function open (path: string, height: number): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1200, height } })
  await page.goto(url + path)
  await page.locator('.status[data-state="open"]').nth(1).waitFor()
  return page
}

async function post (path: string, payload: object): Promise<void> {
  const response = await app.inject({ method: 'POST', url: path, payload })
  if (response.statusCode >= 300) throw new Error(`${path}: ${response.statusCode} ${response.body}`)
}

async function notifications (): Promise<void> {
  const page = await open('/', 760)
  await post('/api/users/user_123/messages', { type: 'notification', data: { title: 'Your order A-1042 is packed', message: 'The courier collects it at 16:00' } })
  await post('/api/tasks', { title: 'Call the warehouse' })
  await post('/api/tasks', { title: 'Send the invoice' })
  await post('/api/broadcast', { type: 'system_announcement', message: 'Maintenance tonight at 22:00, for ten minutes' })
  await page.locator('.tasks li:not(.pending)').nth(1).waitFor()
  await page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished)))
  await page.screenshot({ path: `${folder}notifications.png` })
}

async function chat (): Promise<void> {
  const page = await open('/chat', 920)
  const input = page.getByRole('textbox', { name: 'Message' }).first()
  await input.fill('Where is my order A-1042?')
  await input.press('Enter')
  await page.getByRole('group', { name: /How shall it come/ }).first().getByRole('button').first().click()
  await page.getByRole('button', { name: 'Approve' }).nth(1).waitFor()
  await page.locator('.thoughts summary').first().click()
  await page.screenshot({ path: `${folder}chat.png` })
}

try {
  await notifications()
  await chat()
} finally {
  await browser.close()
  await app.close()
}
