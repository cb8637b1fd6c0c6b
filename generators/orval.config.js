module.exports = {
  latchkey: {
    input: '../openapi.yaml',
    output: {
      target: 'out/orval.ts',
      client: 'fetch',
      override: { mutator: { path: 'flows/orval-fetch.ts', name: 'send' } },
    },
  },
}
