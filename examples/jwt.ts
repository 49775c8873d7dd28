/** Authenticates with a JSON Web Token in the Authorization header, or in `?token=` for browsers, which cannot set that header. */
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
  /** Checks the password of a user. */
  isPassword: (userId: string, password: string) => Promise<boolean>
  secret?: string
  /** Lifetime of a token: seconds, or a text such as `1h`. Default: one hour. */
  expiresIn?: string | number
}

export async function build ({ isPassword, secret = randomBytes(32).toString('hex'), expiresIn = '1h' }: JwtOptions) {
  const app = Fastify()

  await app.register(jwt, { secret, sign: { expiresIn }, verify: { extractToken } })

  await app.register(realtime, {
    // A rejection with a 4xx status closes the connection with 4401, and so does the end of the token's lifetime, `expiresAt`.
    // The user id must be the one of the path. Otherwise the connection is closed with 4403.
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

/** Proxies log the query of a URL, so tokens in it should be short-lived. The plugin itself does not log it. */
function extractToken ({ headers, query }: FastifyRequest): string | undefined {
  const bearer = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')
  if (bearer !== null) return bearer[1]
  const { token } = query as { token?: unknown }
  return typeof token === 'string' ? token : undefined
}
