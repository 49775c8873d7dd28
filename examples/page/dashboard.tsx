import type { Figures } from './api.js'

const names: Array<[keyof Figures, string]> = [
  ['connections', 'Connected'], ['users', 'Users'], ['publications', 'In history'],
  ['deliveries', 'Deliveries'], ['writes', 'Writes'], ['resyncs', 'Resyncs']
]

/** Figures of the server, which it pushes each second. */
export function Dashboard ({ figures, at }: { figures?: Figures, at?: string }) {
  return (
    <section className='card' aria-label='Dashboard'>
      <div className='head'>
        <h2>Dashboard</h2>
        <small>{at === undefined ? 'Waiting for figures' : `As of ${new Date(at).toLocaleTimeString()}`}</small>
      </div>
      <dl>
        {names.map(([key, name]) => (
          <div key={key}><dt>{name}</dt><dd data-stat={key}>{figures?.[key].toLocaleString('en') ?? '–'}</dd></div>
        ))}
      </dl>
    </section>
  )
}
