import { useEffect, useState } from 'react'
import { RealtimeProvider } from 'fastify-realtime/react'
import { loadAgent, messageOf, type AgentInfo } from '../api.js'
import { Cable } from '../cable.js'
import { Header } from '../header.jsx'
import { Device } from './device.jsx'

/** Owner of the chat: the same user on all devices. */
const user = 'user_123'

/** Page of a chat: two devices of one user side by side, or one device. */
export function ChatApp ({ chatId, device }: { chatId: string, device?: string }) {
  const [devices] = useState(() => (device === undefined ? ['1', '2'] : [device]).map(name => ({ name, cable: new Cable() })))
  const here = `/chat?chat=${encodeURIComponent(chatId)}`
  const isAlone = devices.length === 1
  return (
    <>
      <Header
        label='Devices shown' views={[
          { href: here, text: 'Side by side', isCurrent: !isAlone },
          { href: `${here}&device=1`, text: 'One device', isCurrent: isAlone }
        ]}
      />
      <main className={isAlone ? 'alone' : undefined}>
        <Intro chatId={chatId} isAlone={isAlone} />
        {devices.map(({ name, cable }) => (
          <RealtimeProvider key={name} userId={user} WebSocket={cable.WebSocket}>
            <Device name={name} chatId={chatId} cable={cable} />
          </RealtimeProvider>
        ))}
      </main>
    </>
  )
}

function Intro ({ chatId, isAlone }: { chatId: string, isAlone: boolean }) {
  const startAnother = () => {
    location.search = String(new URLSearchParams({ chat: Math.random().toString(36).slice(2, 10), ...isAlone && { device: '1' } }))
  }
  return (
    <section className='intro' aria-label='About this chat'>
      <p><AgentLine /> {isAlone ? 'This device is' : 'Both devices are'} of {user}, in the chat <code>{chatId}</code>.</p>
      <button type='button' className='quiet' onClick={startAnother}>New chat</button>
    </section>
  )
}

/** Name of the agent, so that a script is not mistaken for a model. */
function AgentLine () {
  const [agent, setAgent] = useState<AgentInfo>()
  const [reason, setReason] = useState('')
  useEffect(() => {
    loadAgent().then(setAgent, error => setReason(messageOf(error)))
  }, [])
  if (reason !== '') return <>Who answers here could not be asked: {reason}.</>
  if (agent === undefined) return <>Asking who answers here …</>
  if (!agent.is_scripted) return <b>The model {agent.name} answers here.</b>
  return <><b>A script answers here, not a model.</b> A model does with <code>OPENAI_BASE_URL</code> and <code>OPENAI_API_KEY</code>.</>
}
