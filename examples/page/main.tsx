import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app.jsx'
import { ChatApp } from './chat/app.jsx'

const query = new URLSearchParams(location.search)

function Page () {
  if (location.pathname === '/chat') return <ChatApp chatId={query.get('chat') || 'demo'} device={query.get('device') || undefined} />
  const users = [...new Set(query.getAll('user').filter(user => user !== ''))]
  return <App users={users.length === 0 ? ['user_123', 'user_456'] : users.slice(0, 2)} />
}

createRoot(document.getElementById('app')!).render(<StrictMode><Page /></StrictMode>)
