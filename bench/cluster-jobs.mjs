// Jobs of a node in a cluster: publish to random users, each of whom has a connection on every node.
const users = 50
const random = () => `u${Math.floor(Math.random() * users)}`
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** `clock` returns milliseconds, and is the same for all processes. */
export function clusterJobs (server, envelope, clock) {
  /** Number of frames that the clients have reported. */
  let received = 0
  let onReceived = () => {}

  return {
    /** Takes the number of frames that all clients have received from all nodes. */
    told (total) {
      received = total
      onReceived()
    },

    /**
     * Publishes as fast as possible with at most `window` messages in progress: until `sendToUser` resolves, or, when it returns no
     * promise, until the clients have received them. `told`: messages of this node per received frame.
     */
    async flood ({ seconds, window, told }) {
      const end = clock() + seconds * 1_000
      const before = received
      let sent = 0
      let stored = 0
      let isAwaited = false
      let failure
      let wake = () => {}
      const onStored = () => {
        stored++
        wake()
      }
      const onFailed = error => {
        failure = error
        wake()
      }
      const underWay = () => sent - (isAwaited ? stored : (received - before) * told)
      onReceived = () => wake()
      while (clock() < end || (isAwaited && stored < sent)) {
        while (underWay() < window && clock() < end) {
          const result = server.sendToUser(random(), envelope)
          sent++
          isAwaited = result instanceof Promise
          if (isAwaited) result.then(onStored, onFailed)
        }
        // Does not wait forever for a system that never answers.
        const late = setTimeout(() => wake(), 1_000)
        await new Promise(resolve => { wake = resolve })
        clearTimeout(late)
        if (failure) throw failure
      }
      return sent
    },

    /** Publishes at a pace. Each message contains its time: the scheduled time, if it is late. */
    async paced ({ seconds, perSecond }) {
      const start = clock()
      const every = 1_000 / perSecond
      const results = []
      for (let n = 0; n < seconds * perSecond; n++) {
        const due = start + n * every
        await sleep(Math.max(0, due - clock()))
        const sentAt = Math.min(due, clock())
        results.push(server.sendToUser(random(), { ...envelope, data: { ...envelope.data, sentAt } }))
      }
      await Promise.all(results)
      return results.length
    }
  }
}
