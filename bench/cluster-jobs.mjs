// What a node of a cluster publishes: to random users, each of whom has a connection on every node.
const users = 50
const random = () => `u${Math.floor(Math.random() * users)}`
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** `clock` is in milliseconds, and the same for all processes. */
export function clusterJobs (server, envelope, clock) {
  /** What the clients have of this node, as far as they have told. */
  let received = 0
  let onReceived = () => {}

  return {
    /** How much all clients have in all; the nodes publish alike, so each has its share. */
    told (total) {
      received = total
      onReceived()
    },

    /**
     * As much as is taken with at most `window` under way: until `sendToUser` resolves; where nothing is to be waited for,
     * until the clients have it.
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
        // A system that never answers is not waited for forever.
        const late = setTimeout(() => wake(), 1_000)
        await new Promise(resolve => { wake = resolve })
        clearTimeout(late)
        if (failure) throw failure
      }
      return sent
    },

    /** At a pace, each with its time: that of the schedule if it comes late. */
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
