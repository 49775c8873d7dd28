import { call } from './api.js'
import { Sending } from './form.jsx'

/** Form that sends a notification from one user to another, or to the same user. */
export function Send ({ from, to }: { from: string, to: string }) {
  const send = (fields: FormData) => call<{ id: string }>(`/api/users/${encodeURIComponent(String(fields.get('user')))}/messages`, {
    type: 'notification',
    data: { title: fields.get('title'), message: `From ${from}` }
  })
  return (
    <section className='card' aria-label={`Send as ${from}`}>
      <h3>Send to one user</h3>
      <Sending label={`A notification from ${from}`} send={send} button={<button>Send</button>}>
        <label>To <input name='user' defaultValue={to} required maxLength={128} autoComplete='off' autoCapitalize='none' spellCheck={false} /></label>
        <label>Title <input name='title' defaultValue='Hello' required maxLength={200} autoComplete='off' /></label>
      </Sending>
    </section>
  )
}
