/** Packages that find their own binary, or files to serve, beside themselves: they stay outside of the bundle. */
export const unbundled = [
  '@electric-sql/pglite',
  '@fastify/swagger-ui',
  '@zxcvbn-ts/language-common',
  'argon2',
  'bcrypt',
  'fs-native-extensions',
]
