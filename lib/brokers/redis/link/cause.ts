/** Cause of a failure that involves Redis. */
export interface Cause {
  /** Stable name of the kind of failure: two causes with the same code are equal. */
  readonly code: string
  /** Error text of Redis, the network or TLS, without passwords and payloads. */
  readonly message: string
  readonly cure: string | undefined
  /** Message and cure. */
  readonly text: string
  /** Whether an option or the configuration of Redis has to change: waiting is no cure. */
  readonly isSetup: boolean
  /** Whether the connection ended without a reason. A known reason is then more useful. */
  readonly isVague: boolean
  /** Copy of the error without data that may contain a password or a payload. */
  readonly error: Error
}

interface Row {
  readonly code: string
  /** Matched against the error's code and message. */
  readonly matches: RegExp
  /** `<prefix>` stands for the prefix of the broker. */
  readonly cure: string
  readonly isSetup?: true
}

/** The first matching row counts. */
const rows: Row[] = [
  {
    code: 'WRONGPASS',
    matches: /WRONGPASS|invalid (username|password)/,
    cure: "Correct the user name and the password of the Redis broker's 'url' or 'client'",
    isSetup: true
  },
  {
    code: 'NOAUTH',
    matches: /NOAUTH|Authentication required/,
    cure: "Redis asks for a password: write it into the Redis broker's 'url' or 'client'",
    isSetup: true
  },
  {
    code: 'NOPERM_CHANNEL',
    matches: /NOPERM.*channel|can't (publish to|access) (the|at least one of the) channel/,
    cure: 'Give the Redis user the channels of the prefix: ACL SETUSER <user> &<prefix>*',
    isSetup: true
  },
  {
    code: 'NOPERM_KEY',
    matches: /NOPERM.*\bkeys?\b|can't access at least one of the keys/,
    cure: 'Give the Redis user the keys of the prefix: ACL SETUSER <user> ~<prefix>*',
    isSetup: true
  },
  {
    code: 'NOPERM_COMMAND',
    matches: /NOPERM|can't run this command/,
    cure: 'Give the Redis user the command: ACL SETUSER <user> +<command>. docs/redis-failures.md lists all that are needed',
    isSetup: true
  },
  {
    code: 'UNKNOWN_COMMAND',
    matches: /unknown (redis )?(sub)?command/i,
    cure: 'Use Redis 7 or later, and rename no command',
    isSetup: true
  },
  {
    code: 'DATABASE',
    matches: /DB index is out of range|SELECT is not allowed/,
    cure: "Correct the number of the database in the 'url' or 'client'",
    isSetup: true
  },
  {
    code: 'DENIED',
    matches: /DENIED|protected mode/,
    cure: 'Set a password for Redis, or bind it to an address that only the app reaches',
    isSetup: true
  },
  { code: 'MAXCLIENTS', matches: /max number of clients/, cure: "Raise 'maxclients' of Redis, or end connections that are not needed" },
  {
    code: 'TLS_EXPECTED',
    matches: /TLS_EXPECTED|Unknown RESP type 21 /,
    cure: "This port speaks TLS: write 'rediss://' in the 'url', or pass 'tls' to the client",
    isSetup: true
  },
  {
    code: 'TLS_UNEXPECTED',
    matches: /TLS_UNEXPECTED|wrong version number/i,
    cure: "This port does not speak TLS: write 'redis://' in the 'url', or use the TLS port of Redis",
    isSetup: true
  },
  {
    code: 'CLIENT_CERTIFICATE',
    matches: /alert (certificate required|bad certificate|unknown ca|handshake failure)|CERTIFICATE_REQUIRED/i,
    cure: "Redis asks for a certificate of the client: pass 'tls.cert' and 'tls.key' to an ioredis client, or set 'tls-auth-clients no'",
    isSetup: true
  },
  {
    code: 'CERTIFICATE',
    matches: /SELF_SIGNED_CERT|UNABLE_TO_(VERIFY|GET)|CERT_|ERR_TLS_CERT|certificate/i,
    cure: "The certificate of Redis is not trusted: correct it, or pass its authority as 'tls.ca' to an ioredis client",
    isSetup: true
  },
  {
    code: 'TLS',
    matches: /ERR_SSL|EPROTO|ERR_TLS|ERR_OSSL/,
    cure: "Compare the TLS settings of the 'client' with those of Redis",
    isSetup: true
  },
  { code: 'NOT_REDIS', matches: /Unknown RESP type|Protocol error/, cure: 'The server at this address is not Redis: correct the address' },
  {
    code: 'NO_MASTER',
    matches: /invalid reply: null|No such master/,
    cure: "The Sentinel knows no master of this name: correct 'name' of the client, or wait until one is elected"
  },
  { code: 'ECONNREFUSED', matches: /ECONNREFUSED/, cure: 'Nothing listens there: start Redis, or correct its address' },
  { code: 'ENOTFOUND', matches: /ENOTFOUND|EAI_AGAIN/, cure: 'The name does not resolve: correct it, or check DNS' },
  {
    code: 'UNREACHABLE',
    matches: /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN/,
    cure: 'Nothing answers at this address: correct it, or check the network and its firewalls'
  },
  { code: 'SOCKET_FILE', matches: /ENOENT|EACCES/, cure: "Correct the 'path' of the client, or the permissions of that file" },
  { code: 'SENTINEL', matches: /sentinel/i, cure: "Start a Sentinel, or correct 'sentinels' of the client" },
  { code: 'READONLY', matches: /READONLY/, cure: 'This is a replica: connect to the master, or wait until one is promoted' },
  { code: 'MISCONF', matches: /MISCONF/, cure: 'Redis cannot write to its disk: check its log' },
  { code: 'OOM', matches: /\bOOM\b/, cure: "Raise 'maxmemory' of Redis, or store less there" },
  { code: 'LOADING', matches: /LOADING/, cure: 'Redis is loading its data: wait' },
  { code: 'MASTERDOWN', matches: /MASTERDOWN|NOMASTERLINK/, cure: 'This is a replica without a master: connect to the master' },
  {
    code: 'CLUSTERDOWN',
    matches: /CLUSTERDOWN|Cluster is down|slots cache|startup nodes|node of the Cluster|Cluster redirections/,
    cure: "Check 'CLUSTER INFO' of its nodes"
  },
  {
    code: 'NOT_CLUSTER',
    matches: /cluster support disabled/,
    cure: 'This Redis is no Cluster: pass a client made with new Redis(…)',
    isSetup: true
  },
  {
    code: 'CLUSTER',
    matches: /^ (MOVED|CROSSSLOT)/,
    cure: 'This Redis is a Cluster: pass a client made with new Cluster(…)',
    isSetup: true
  },
  { code: 'NOREPLICAS', matches: /NOREPLICAS/, cure: "Redis has too few replicas for 'min-replicas-to-write'" },
  { code: 'BUSY', matches: /\bBUSY\b/, cure: 'A script of another app blocks Redis: SCRIPT KILL ends it' },
  { code: 'WRONGTYPE', matches: /WRONGTYPE/, cure: "Another app uses the same keys: give each app a 'prefix' of its own" },
  {
    code: 'NO_ANSWER',
    matches: /does not answer/,
    cure: 'It hangs, is overloaded, is still loading its data, or the network drops packets'
  }
]

/** Errors of ioredis that only report a missing connection. The connection itself reports why. */
const noConnection = new RegExp(`^(${[
  'Connection is (closed|discarded|aborted)', "Stream isn't writeable", 'Command aborted', "Cluster is(n't| ended)", 'Reached the max retries',
  'No sharded subscriber', 'Redis is already'
].join('|')})`)

/** Errors of a connection that ended without a reason. */
const vague = /ECONNRESET|EPIPE|closed the connection|disconnected before secure TLS/

const vagueCure = 'A restart, a firewall, a full output buffer or CLIENT KILL can be the reason'

/** Properties of an error that are kept. */
const harmless = ['code', 'errno', 'syscall', 'address', 'port', 'hostname'] as const

/** Whether an error names a cause: `false` if it only reports a missing connection. */
export function isCause (error: unknown): boolean {
  return !noConnection.test(messageOf(error))
}

/** Cause of an error, with its cure. */
export function causeOf (thrown: unknown, prefix = 'realtime:'): Cause {
  const error = cleaned(thrown)
  const { code = '' } = error as { code?: string }
  const text = `${code} ${error.message}`
  const row = rows.find(({ matches }) => matches.test(text))
  const isVague = row === undefined && vague.test(text)
  const cure = row?.cure ?? (isVague ? vagueCure : undefined)
  const { message } = error
  const ownCure = cure?.replaceAll('<prefix>', prefix)
  return {
    code: row?.code ?? (isVague ? 'CLOSED' : nameOf(error)),
    message,
    cure: ownCure,
    text: ownCure === undefined ? message : `${message}. ${ownCure}`,
    isSetup: row?.isSetup === true,
    isVague,
    error
  }
}

/** Code of an unknown failure: its message, with digits replaced because they may differ each time. */
function nameOf ({ message }: Error): string {
  return message.slice(0, 80).replace(/\d+/g, '#')
}

/**
 * Message of an error. If a name has several addresses, Node collects one error per address under an empty message. OpenSSL surrounds its
 * reason with the place in its source.
 */
function messageOf (thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  if (thrown instanceof AggregateError && thrown.message === '') return thrown.errors.map(messageOf).join(', ')
  const { message, code, reason } = thrown as Error & { code?: unknown, reason?: unknown }
  return String(code).startsWith('ERR_SSL_') && typeof reason === 'string' ? reason : message
}

/** Parts of messages that differ between runs, do not help, or may contain a secret. */
const noise: Array<[RegExp, string]> = [
  // Redis repeats the arguments of an unknown command.
  [/,? with args beginning with:.*$/s, ''],
  [/ script: [0-9a-f]{40}.*$/s, ''],
  [/, otherwise the HELLO AUTH .*$/s, ''],
  [/^Socket timeout\. .*$/s, 'Redis does not answer'],
  [/\. Please report this.*$/s, ''],
  [/[\s.:]+$/, '']
]

/** Copy of an error without the command and its arguments, which ioredis adds: they can contain a password or a payload. */
function cleaned (thrown: unknown): Error {
  const message = noise.reduce((text, [pattern, rest]) => text.replace(pattern, rest), messageOf(thrown))
  const copy = new Error(message)
  copy.stack = `Error: ${message}`
  for (const key of harmless) {
    const value = (thrown as Record<string, unknown> | undefined)?.[key]
    if (value !== undefined) Object.assign(copy, { [key]: value })
  }
  return copy
}
