/** Who may connect: a JSON Web Token, in the Authorization header or, from browsers, which cannot set one, in `?token=`. */
import { randomBytes } from 'node:crypto'
import jwt from '@fastify/jwt'
import { Type, type Static } from '@sinclair/typebox'
import Fastify, { type FastifyRequest } from 'fastify'
import realtime, { Id } from 'fastify-realtime'

const Login = Type.Object({ user_id: Type.Unsafe<string>(Id), password: Type.String({ maxLength: 1024 }) })

interface Claims {
  sub: string
  exp: number
}

export interface JwtOptions {
  /** The app's own check. */
  isPassword: (userId: string, password: string) => Promise<boolean>
  secret?: string
  /** How long a token is good for. */
  expiresIn?: string | number
}

export async function build ({ isPassword, secret = randomBytes(32).toString('hex'), expiresIn = '1h' }: JwtOptions) {
  const app = Fastify()

  await app.register(jwt, { secret, sign: { expiresIn }, verify: { extractToken } })

  await app.register(realtime, {
    // A rejection with a 4xx status closes the connection with 4401, and so does `expiresAt` when its time has come.
    // The user id must then be the one of the path, or the connection is closed with 4403.
    authenticate: async request => {
      const { sub, exp } = await request.jwtVerify<Claims>()
      return { userId: sub, expiresAt: exp * 1000 }
    }
  })

  app.post<{ Body: Static<typeof Login> }>('/login', { schema: { body: Login } }, async ({ body }, reply) => {
    if (!await isPassword(body.user_id, body.password)) return reply.code(401).send({ message: 'Wrong user or password' })
    return { token: app.jwt.sign({ sub: body.user_id }) }
  })

  return app
}

/** A query ends up in the logs of proxies, so its tokens should be short-lived. The plugin itself does not log it. */
function extractToken ({ headers, query }: FastifyRequest): string | undefined {
  const bearer = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')
  if (bearer !== null) return bearer[1]
  const { token } = query as { token?: unknown }
  return typeof token === 'string' ? token : undefined
}
