import { call } from './api.js'
import { Sending } from './form.jsx'

/** Form that sends an announcement to all users. */
export function Broadcast () {
  const send = (fields: FormData) => call<{ id: string }>('/api/broadcast', { type: 'system_announcement', message: fields.get('text') })
  return (
    <section className='card' aria-label='Broadcast'>
      <h2>Broadcast to everyone</h2>
      <Sending label='An announcement to everyone' send={send} button={<button>Broadcast</button>}>
        <label>Announcement <input name='text' defaultValue='Scheduled maintenance in 10 minutes' required maxLength={1000} autoComplete='off' /></label>
      </Sending>
    </section>
  )
}
