// Which tests guard a file of lib: the one of the same name, and these.
import { existsSync } from 'node:fs'

/** Tests of files that have none of their own, and of files that work mostly inside of others. A name that ends in / is a folder. */
const others = {
  'adapters/ag-ui-kept': ['adapters/ag-ui'],
  'adapters/ai-sdk': ['adapters/link'],
  'adapters/ai-sdk-server': ['promises/ai-sdk-use-chat'],
  'adapters/ai-sdk/': ['adapters/ai-sdk', 'promises/ai-sdk-equivalence'],
  'adapters/ai-sdk/run-parts': ['adapters/ai-sdk/run'],
  'adapters/followed-chat': ['adapters/ai-sdk'],
  'adapters/from-ag-ui': ['adapters/ag-ui', 'promises/late-clients'],
  'adapters/link': ['adapters/ai-sdk', 'adapters/followed-chat'],
  'adapters/parts-to-ag-ui': ['adapters/to-ag-ui', 'adapters/ag-ui'],
  'adapters/to-ag-ui': ['adapters/ag-ui', 'adapters/followed-chat', 'promises/late-clients'],
  'brokers/broker': ['brokers/memory'],
  'brokers/redis/broker': ['brokers/redis/link/link', 'brokers/redis/cluster/nodes', 'promises/redis-failover', 'promises/redis-causes', 'promises/redis-exit'],
  'brokers/redis/commands/': ['brokers/redis/commands/index'],
  'brokers/redis/commands/beat': ['brokers/redis/cluster/members'],
  'brokers/redis/commands/claim': ['brokers/redis/cluster/claims'],
  'brokers/redis/commands/connections': ['brokers/redis/cluster/presence'],
  'brokers/redis/commands/end': ['brokers/redis/cluster/members'],
  'brokers/redis/commands/enter': ['brokers/redis/cluster/presence'],
  'brokers/redis/commands/find': ['brokers/redis/publishing/doubts'],
  'brokers/redis/commands/heads': ['brokers/redis/following/store'],
  'brokers/redis/commands/hold': ['brokers/redis/cluster/leases'],
  'brokers/redis/commands/mend': ['brokers/redis/following/store'],
  'brokers/redis/commands/probe': ['brokers/redis/link/permissions'],
  'brokers/redis/commands/pulse': ['brokers/redis/cluster/members'],
  'brokers/redis/commands/read': ['brokers/redis/following/store'],
  'brokers/redis/commands/release': ['brokers/redis/cluster/leases'],
  'brokers/redis/link/connection': ['brokers/redis/link/link'],
  'brokers/redis/link/link': ['brokers/redis/link/permissions', 'promises/redis-causes'],
  'channels/options': ['docs/reference'],
  'chat/active-chat': ['chat/runs/turns'],
  'chat/chats': ['chat/runs/turns', 'promises/chat', 'promises/runs'],
  'chat/hooks': ['chat/chats'],
  'chat/log/text/marks': ['chat/log/text/growing-text'],
  'chat/options': ['docs/reference'],
  'chat/replies/call': ['chat/replies/reply'],
  'chat/replies/growing-part': ['chat/replies/reply'],
  'chat/replies/reply': ['promises/parts'],
  'chat/runs/context': ['chat/runs/run'],
  'chat/runs/run': ['promises/runs'],
  'client/channels/subscriptions': ['client/channels/channel'],
  'client/chat/chat': ['client/chat/chats', 'client/chat/connection', 'client/chat/presence'],
  'client/chat/history': ['client/chat/conversation'],
  'client/chat/items': ['client/chat/messages'],
  'client/client': ['client/channels/channel'],
  'client/sharing/parts': ['client/sharing/tabs'],
  'client/sharing/shared-channels': ['client/sharing/tabs'],
  'client/socket': ['client/client'],
  'client/status': ['client/client'],
  errors: ['docs/reference'],
  plugin: ['index'],
  'plugin-options': ['docs/reference'],
  'presence/options': ['docs/reference'],
  'protocol/data-field': ['server/messages/catalogue'],
  'protocol/error-codes': ['server/inbound/parse'],
  'protocol/member': ['protocol/presence'],
  'react/state/store': ['react/channel'],
  redis: ['redis-options'],
  'server/connection/admission': ['promises/compression', 'server/reports/refusal-reasons'],
  'server/connection/connection': [
    'server/connection/lifecycle', 'server/connection/admission', 'server/delivery/outlet', 'server/inbound/dispatcher', 'server/access/renewal',
    'channels/channels', 'server/reports/refusal-reasons'
  ],
  'server/handshake/routes': ['promises/compression'],
  'server/handshake/upgrades': ['server/handshake/routes'],
  'server/hooks': ['server/server'],
  'server/options': ['docs/reference'],
  'server/reports/counters': ['server/server'],
  'server/server': [
    'server/inbound/dispatcher', 'server/delivery/outlet', 'server/access/renewal', 'channels/channels', 'server/reports/refusal-reasons', 'promises/drain'
  ],
  'server/target': ['server/server']
}

/** Tests that measure the size of the code, which is larger with mutants. */
const unfit = ['client/chat/index', 'client/index']

/** Names of test files, the file's own first. */
export function guardsOf (name) {
  const folder = name.slice(0, name.lastIndexOf('/') + 1)
  return [name, ...others[folder] ?? [], ...others[name] ?? []].filter(guard => existsSync(`test/${guard}.test.ts`) && !unfit.includes(guard))
}
