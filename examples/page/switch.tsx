import { useId } from 'react'

interface SwitchProps {
  label: string
  hint: string
  isOn: boolean
  onChange: (isOn: boolean) => void
}

export function Switch ({ label, hint, isOn, onChange }: SwitchProps) {
  const id = useId()
  return (
    <div className='switch'>
      <div>
        <label htmlFor={id}>{label}</label>
        <p id={`${id}hint`} className='muted'>{hint}</p>
      </div>
      <input id={id} type='checkbox' role='switch' aria-describedby={`${id}hint`} checked={isOn} onChange={event => onChange(event.target.checked)} />
    </div>
  )
}
