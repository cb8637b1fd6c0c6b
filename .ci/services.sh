# shellcheck shell=bash
# What the full suite runs on: PostgreSQL and Redis servers that answer, and the programs that its tests start.

started=()
# Where Debian puts servers.
PATH=$PATH:/usr/sbin

# Programs that tests start themselves, each with the Debian package that has it.
programs=(
  redis-server:redis-server pgbouncer:pgbouncer openssl:openssl chromium:chromium
  nginx:nginx-light haproxy:haproxy caddy:caddy apache2:apache2 promtool:prometheus
)

apt_install() {
  ((EUID == 0)) && command -v apt-get >/dev/null || return 1
  echo "      installing $*"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } \
    >"$work/apt" 2>&1 || { tail -n 20 "$work/apt"; return 1; }
}

# require PROGRAM PACKAGE
require() {
  command -v "$1" >/dev/null || { apt_install "$2" && command -v "$1" >/dev/null; } && return
  echo "FAIL  $1: must be installed"
  return 1
}

require_programs() {
  local entry status=0
  for entry in "${programs[@]}"; do
    # Another browser will do.
    [[ $entry == chromium:* && -x ${CHROMIUM:-} ]] && continue
    require "${entry%%:*}" "${entry##*:}" || status=1
  done
  # For Apache's mod_lua; a library, so no command has its name.
  [[ -e /usr/share/lua/5.3/socket.lua ]] || apt_install lua-socket || status=1
  postgres_binaries >/dev/null || apt_install postgresql || status=1
  return $status
}

postgres_binaries() {
  local folder
  for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -Vr) "$(dirname "$(command -v postgres)")"; do
    [[ -x $folder/initdb && -x $folder/postgres ]] && echo "$folder" && return
  done
  return 1
}

# answers postgres|redis URL
answers() {
  node .ci/answers.js "$1" "$2" 2>"$work/why"
}

# await postgres|redis URL: within 30 seconds.
await() {
  local end=$((SECONDS + 30))
  until answers "$1" "$2"; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}

free_port() {
  node -e 'const server = require("node:net").createServer().listen(0, "127.0.0.1", () => {
    console.log(server.address().port)
    server.close()
  })'
}

start_postgres() {
  local bin data=$work/postgres port as=()
  bin=$(postgres_binaries) || return 1
  port=$(free_port)
  mkdir "$data"
  if ((EUID == 0)); then
    # PostgreSQL refuses to run as root.
    as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
    chmod 711 "$work"
    chown postgres: "$data"
  fi
  (cd / && "${as[@]}" "$bin/initdb" --auth=trust --username=postgres --encoding=UTF8 -D "$data/db") \
    >"$work/why" 2>&1 || return 1
  (cd / && exec "${as[@]}" "$bin/postgres" -D "$data/db" -c listen_addresses=127.0.0.1 -p "$port" -k "$data" \
    -c fsync=off) >"$work/postgres.log" 2>&1 &
  started+=($!)
  export TEST_DATABASE_URL=postgres://postgres@127.0.0.1:$port/postgres
  await postgres "$TEST_DATABASE_URL"
}

start_redis() {
  local port
  port=$(free_port)
  redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
  started+=($!)
  export TEST_REDIS_URL=redis://127.0.0.1:$port
  await redis "$TEST_REDIS_URL"
}

# serve postgres|redis VARIABLE DEFAULT: exports VARIABLE with the URL of a server that answers.
serve() {
  local kind=$1 variable=$2 default=$3
  if [[ -n ${!variable:-} ]]; then
    answers "$kind" "${!variable}" && return
    echo "FAIL  $kind: $variable does not answer: $(cat "$work/why")"
  elif answers "$kind" "$default"; then
    export "$variable=$default"
    return
  else
    echo "      $default does not answer: starting a server"
    "start_$kind" && return
    echo "FAIL  $kind: cannot be started: $(cat "$work/why"); set $variable"
  fi
  return 1
}

services() {
  require_programs || return 1
  serve postgres TEST_DATABASE_URL postgres://postgres@127.0.0.1:5432/postgres &&
    serve redis TEST_REDIS_URL redis://127.0.0.1:6379
}

stop_services() {
  ((${#started[@]} > 0)) || return 0
  kill -INT "${started[@]}" 2>/dev/null
  wait "${started[@]}" 2>/dev/null
}
