// Which tests guard a file of lib: the one of the same name, and these.
import { existsSync } from 'node:fs'

/** Tests of files that have none of their own, or where another test guards more: by the start of the file's name. */
const others = {
  'adapters/ai-sdk/run-parts': 'adapters/ai-sdk/run',
  'brokers/broker': 'brokers/memory',
  'brokers/redis/commands/': 'brokers/redis/commands/index',
  'chat/hooks': 'chat/chats',
  'chat/runs/context': 'chat/runs/run',
  'client/chat/items': 'client/chat/messages',
  'client/sharing/parts': 'client/sharing/tabs',
  'client/socket': 'client/client',
  'client/status': 'client/client',
  'protocol/data-field': 'server/messages/catalogue',
  'protocol/error-codes': 'server/inbound/parse',
  'protocol/member': 'protocol/presence',
  'server/hooks': 'server/server',
  'server/reports/counters': 'server/server',
  'server/target': 'server/server',
  plugin: 'index',
  errors: 'plugin-options',
  redis: 'redis-options'
}

/** Names of test files, the file's own first. */
export function guardsOf (name) {
  const named = Object.keys(others).filter(start => name.startsWith(start)).map(start => others[start])
  return [...new Set([name, ...named])].filter(guard => existsSync(`test/${guard}.test.ts`))
}
