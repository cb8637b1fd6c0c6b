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
COPY client/src ./client/src
RUN npm run build && node dist/scripts/image.js

FROM node:24-bookworm-slim
# HOST, since development mode would otherwise listen where no published port reaches.
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /app
# What installs packages never runs here. In data, development mode keeps its database; production writes no file.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
      /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-* \
  && install --directory --mode=0700 --owner=1000 --group=1000 data
COPY --from=build /app/dist/image/node_modules ./node_modules
COPY package.json ./
COPY --from=build /app/dist/bundle ./dist/bundle
# The user `node`, as a number: Kubernetes takes no name for a proof that it is not root (runAsNonRoot).
USER 1000:1000
EXPOSE 8000
# By bash: a second Node in the memory limit of the first would get both killed.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${PORT:-8000} && printf 'GET /health/live HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r -t 4 _ status _ <&3 && [ \"$status\" = 200 ]"]
# Half of the container's memory limit, of which V8 by itself would take all at 256 MiB; docs/operations.md has sizes.
# Node is process 1 and gets the signals. The command is `serve` unless one is given: `docker run <image> migrate`.
ENTRYPOINT ["node", "--max-old-space-size-percentage=50", "dist/bundle/server.js"]
