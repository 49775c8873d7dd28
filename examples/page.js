/* global document, location, window, WebSocket, fetch, AbortSignal */

/** What to do after a close: the server's table, `closeCodes` of fastify-realtime. A code that is not in it is like 1006. */
export const actions = {
  1000: 'stop',
  1001: 'stop',
  1002: 'stop',
  1003: 'stop',
  1005: 'backoff',
  1006: 'backoff',
  1007: 'stop',
  1008: 'stop',
  1009: 'stop',
  1011: 'backoff',
  1012: 'delay',
  1013: 'backoff',
  4400: 'stop',
  4401: 'renew',
  4403: 'stop',
  4408: 'backoff',
  4409: 'stop',
  4429: 'backoff',
  4430: 'reconnect'
}

/** How long a connection has to be acknowledged, or to answer a ping, in milliseconds. */
const patience = 10_000

/** Half of it at random, so that many clients do not come back at the same moment. */
function backoff (attempt) {
  return Math.min(30_000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2)
}

/** How long to wait before connecting again, in milliseconds; `undefined`: never. */
export function delayAfter (code, reason, attempt) {
  switch (actions[code] ?? 'backoff') {
    case 'reconnect': return attempt === 0 ? 0 : backoff(attempt)
    case 'delay': return Number(/^retry_ms=(\d{1,9})$/.exec(reason)?.[1] ?? backoff(attempt))
    case 'backoff': return Math.max(backoff(attempt), code === 4429 ? 5_000 * (1 + Math.random()) : 0)
    // 'renew' too: this page has no credential that it could renew.
    default: return undefined
  }
}

/**
 * Stays connected. `onMessage` gets each publication once; `onGap` is called when some may have been missed, at the start
 * and whenever the server can no longer replay them: the state has to be loaded over HTTP then.
 */
function connect (path, { onMessage, onGap, onStatus }) {
  /** The last id read, by its label: `u` is the user's own channel, `b` the broadcast. */
  const last = new Map()
  const remember = id => last.set(id.split('.', 1)[0], id)
  let socket, timer, openedAt, heartbeat
  let attempt = 0
  let isStopped = false
  // The network is back, or the page is, from the browser's cache.
  for (const event of ['online', 'pageshow']) window.addEventListener(event, hurry)
  open()

  function hurry () {
    if (socket === undefined && !isStopped) open()
  }

  function open () {
    clearTimeout(timer)
    const since = [...last.values()].join(',')
    const url = new URL(path + (since === '' ? '' : `?since=${since}`), location.href)
    url.protocol = url.protocol.replace('http', 'ws')
    onStatus('waiting', attempt === 0 ? 'Connecting' : 'Reconnecting')
    openedAt = undefined
    socket = new WebSocket(url)
    socket.onmessage = ({ data }) => read(JSON.parse(data))
    socket.onclose = ({ code, reason }) => closed(code, reason)
    listen(patience, () => closed(1006, ''))
  }

  /** Browsers do not show the server's pings to a page: it has to ask for a sign of life itself. */
  function listen (ms, onSilence) {
    clearTimeout(timer)
    timer = setTimeout(onSilence, ms)
  }

  function ask () {
    socket.send(JSON.stringify({ type: 'ping' }))
    listen(patience, () => closed(1006, ''))
  }

  function closed (code, reason) {
    clearTimeout(timer)
    socket.onmessage = socket.onclose = null
    socket.close()
    socket = undefined
    // One that held has earned a fresh start; one that is closed as soon as it is open has not.
    if (openedAt !== undefined && Date.now() - openedAt > patience) attempt = 0
    const delay = delayAfter(code, reason, attempt++)
    isStopped = delay === undefined
    if (isStopped) return onStatus('stopped', `Closed for good (${code})`)
    onStatus('waiting', 'Reconnecting')
    timer = setTimeout(open, delay)
  }

  function read (envelope) {
    const { type, id, data } = envelope
    if (openedAt !== undefined) listen(heartbeat, ask)
    if (id !== undefined) remember(id)
    switch (type) {
      case 'connection_ack':
        openedAt = Date.now()
        heartbeat = data.heartbeat_ms
        listen(heartbeat, ask)
        data.position.split(',').forEach(remember)
        onStatus('open', data.replayed > 0 ? `Live, ${data.replayed} caught up` : 'Live')
        // What was missed, if anything, follows now; without it there is a gap.
        if (data.recovered !== true) onGap()
        return
      case 'resync':
        remember(data.position)
        return onGap()
      case 'pong':
      case 'error':
        return
      default:
        onMessage(envelope)
    }
  }
}

const get = id => document.getElementById(id)
const user = new URLSearchParams(location.search).get('user') || 'user_123'
const userPath = encodeURIComponent(user)

/** An element with a text, and others in it. Texts never become HTML. */
function element (name, { className = '', text = '' } = {}, ...children) {
  const made = Object.assign(document.createElement(name), { className, textContent: text })
  made.append(...children)
  return made
}

/** Asks the server. Throws an Error with the reason that it gives. */
async function call (path, body) {
  const init = body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const response = await fetch(path, { signal: AbortSignal.timeout(patience), ...init })
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Error(answer.message ?? `HTTP ${response.status}`)
  return answer
}

// Toasts

function toast (text, { isError = false } = {}) {
  const list = get(isError ? 'errors' : 'toasts')
  const close = Object.assign(element('button', { text: '×' }), { type: 'button', ariaLabel: 'Dismiss' })
  const card = element('div', { className: isError ? 'toast bad' : 'toast' }, element('p', { text }), close)
  close.onclick = () => card.remove()
  // What is in the bell may go by itself; an error is nowhere else.
  if (!isError) setTimeout(() => card.remove(), 6_000)
  list.append(card)
  while (list.children.length > 3) list.firstChild.remove()
}

// The bell: by id, so that nothing is in it twice.

let messages = new Map()
let unread = new Set()

function addMessage (envelope) {
  messages.delete(envelope.id)
  messages.set(envelope.id, envelope)
  if (messages.size > 50) messages.delete(messages.keys().next().value)
}

function titleOf ({ type, data, message }) {
  return type === 'notification' ? data.title : message
}

function paintBell () {
  // While they are shown they are being seen, but still marked.
  const count = get('inbox').hidden ? unread.size : 0
  get('unread').hidden = count === 0
  get('unread').textContent = count > 99 ? '99+' : count
  get('bell').setAttribute('aria-label', count === 0 ? 'Notifications' : `Notifications, ${count} unread`)
  document.title = `${count === 0 ? '' : `(${count}) `}fastify-realtime demo`
  get('no-messages').hidden = messages.size > 0
  get('messages').replaceChildren(...[...messages.values()].reverse().map(messageView))
}

function messageView (envelope) {
  const { id, type, data, timestamp } = envelope
  const time = element('time', { text: new Date(timestamp).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) })
  time.dateTime = timestamp
  const item = element('li', { className: unread.has(id) ? 'unread' : '' },
    element('div', { className: 'top' }, element('b', { text: titleOf(envelope) }), time))
  const text = type === 'notification' ? data.message : 'Announcement to everyone'
  if (text) item.append(element('p', { className: 'muted', text }))
  return item
}

function showInbox (isShown) {
  get('inbox').hidden = !isShown
  get('bell').setAttribute('aria-expanded', isShown)
  if (!isShown) unread.clear()
  paintBell()
  if (isShown) get('inbox').focus()
}

get('bell').onclick = () => showInbox(get('inbox').hidden)
document.addEventListener('keydown', ({ key }) => {
  if (key !== 'Escape' || get('inbox').hidden) return
  showInbox(false)
  get('bell').focus()
})
document.addEventListener('click', ({ target }) => {
  if (!get('inbox').hidden && !target.closest('.bell')) showInbox(false)
})

// Tasks: shown at once under a name of the page's own, `client_ref`, which the confirmation says again.

let tasks = []

/** A task that the server has: the answer to our request and the push say the same, and either may come first. */
function confirmTask (data) {
  const id = String(data.task_id)
  const known = tasks.find(task => task.id === id) ?? tasks.find(task => task.id === undefined && task.ref === data.client_ref)
  if (known === undefined) tasks.unshift({ id, ref: data.client_ref, title: data.title ?? id })
  else Object.assign(known, { id, title: data.title ?? known.title })
  paintTasks()
}

function removeTask (gone) {
  tasks = tasks.filter(task => task !== gone)
  paintTasks()
}

function paintTasks () {
  get('no-tasks').hidden = tasks.length > 0
  get('tasks').replaceChildren(...tasks.map(({ id, title }) =>
    element('li', { className: id === undefined ? 'pending' : '' }, element('span', { text: title }), element('code', { text: id ?? 'saving' }))))
}

get('new-task').onsubmit = async event => {
  event.preventDefault()
  const input = event.target.elements.title
  const title = input.value.trim()
  if (title === '') return
  input.value = ''
  const ref = [...crypto.getRandomValues(new Uint32Array(4))].map(part => part.toString(36)).join('-')
  const task = { ref, title }
  tasks.unshift(task)
  paintTasks()
  try {
    const data = await call('/api/tasks', { title, user_id: user, client_ref: ref })
    if (task.id === undefined) confirmTask(data)
  } catch (error) {
    // Confirmed by the push: then it was only the answer that got lost.
    if (task.id !== undefined) return
    removeTask(task)
    if (input.value === '') input.value = title
    toast(`“${title}” was not added: ${error.message}`, { isError: true })
  }
}

// The dashboard

function paintStats (data, timestamp) {
  for (const view of document.querySelectorAll('[data-stat]')) view.textContent = data[view.dataset.stat].toLocaleString('en')
  get('refreshed').textContent = `As of ${new Date(timestamp).toLocaleTimeString()}`
}

// Sending

function sender (form, send) {
  form.onsubmit = async event => {
    event.preventDefault()
    const output = form.querySelector('output')
    output.className = output.textContent = ''
    try {
      const { id } = await send(form.elements)
      output.textContent = `Sent as ${id}`
      form.elements.text.value = ''
    } catch (error) {
      output.className = 'bad'
      output.textContent = error.message
    }
  }
}

sender(get('notify'), ({ user, title, text }) => call(`/api/users/${encodeURIComponent(user.value)}/messages`, {
  type: 'notification', data: { title: title.value, message: text.value || undefined }
}))
sender(get('announce'), ({ text }) => call('/api/broadcast', { type: 'system_announcement', message: text.value }))

// Everything together

/** Takes in a publication; once more does no harm. */
function apply (envelope) {
  const { type, action, data } = envelope
  switch (type) {
    case 'notification':
    case 'system_announcement':
      return addMessage(envelope)
    case 'task_update':
      if (action === 'deleted') return removeTask(tasks.find(task => task.id === String(data.task_id)))
      return confirmTask(data)
  }
}

let isStale = false
let isLoading = false
let hasLoaded = false
/** What was pushed while the state was on its way: it may be newer. */
let arrived = []

/** Loads the state, until that has succeeded: the next connection only replays what comes after this gap. */
async function reload () {
  isStale = true
  if (isLoading) return
  isLoading = true
  for (let attempt = 0; isStale; attempt++) {
    isStale = false
    arrived = []
    try {
      replaceState(await call(`/api/users/${userPath}/state`))
    } catch {
      isStale = true
      await new Promise(resolve => setTimeout(resolve, backoff(attempt)))
    }
  }
  isLoading = false
}

function replaceState (state) {
  const known = messages
  messages = new Map()
  tasks = tasks.filter(task => task.id === undefined)
  state.messages.sort((a, b) => a.timestamp < b.timestamp ? -1 : 1).forEach(addMessage)
  state.tasks.forEach(confirmTask)
  arrived.forEach(apply)
  const isNew = id => unread.has(id) || (hasLoaded && !known.has(id))
  unread = new Set([...messages.keys()].filter(isNew))
  hasLoaded = true
  paintBell()
}

get('user').textContent = user
get('notify').elements.user.value = user
get('second').href = `?user=${user === 'user_123' ? 'user_456' : 'user_123'}`

connect(`/ws/notifications/${userPath}`, {
  onGap: reload,
  onStatus (state, text) {
    get('status').dataset.state = state
    get('status').textContent = text
    get('dashboard').classList.toggle('stale', state !== 'open')
  },
  onMessage (envelope) {
    const { type, data, timestamp } = envelope
    if (type === 'stats_update') return paintStats(data, timestamp)
    if (isLoading) arrived.push(envelope)
    apply(envelope)
    if (type !== 'notification' && type !== 'system_announcement') return
    unread.add(envelope.id)
    paintBell()
    toast(titleOf(envelope))
  }
})
