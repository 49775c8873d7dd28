import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app.jsx'

const wanted = new URLSearchParams(location.search).getAll('user').filter(user => user !== '')
const users = [...new Set(wanted)]

createRoot(document.getElementById('app')!).render(
  <StrictMode>
    <App users={users.length === 0 ? ['user_123', 'user_456'] : users.slice(0, 2)} />
  </StrictMode>
)
