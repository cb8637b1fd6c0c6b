# The packages with native code, argon2, bcrypt and fs-native-extensions, bring binaries for each platform and pick
# theirs when loaded: no install script has to run, and the images need no compiler.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY src ./src
COPY plugins ./plugins
COPY routes ./routes
COPY scripts ./scripts
RUN npm run build

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
# HOST, since development mode would otherwise listen where no published port reaches.
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /app
# Where development mode keeps its database; production writes no file.
RUN install --directory --owner=node --group=node data
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY --from=build /app/dist/bundle ./dist/bundle
USER node
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8000}/health/live`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and gets the signals. The command is `serve` unless one is given: `docker run <image> migrate`.
ENTRYPOINT ["node", "dist/bundle/server.js"]
