-- Asks Latchkey whether a request may pass. Fails closed: without an answer, 503.
local http = require "socket.http"
local ltn12 = require "ltn12"
http.TIMEOUT = 3

local instances = { "http://127.0.0.1:8000", "http://127.0.0.1:8010" }
local identity = { "User", "Key", "Issuer", "Session", "Client", "Scope", "Expires", "Auth-Time", "Acr" }
local unavailable = '{"type":"about:blank","title":"Service Unavailable","status":503,'
  .. '"detail":"The service is temporarily unavailable","code":"service_unavailable"}'
local turn = 0

-- The next instance, and where that does not answer, the other one.
local function ask(r, question)
  for _ = 1, #instances do
    turn = turn % #instances + 1
    local body = {}
    local _, status, headers = http.request {
      url = instances[turn] .. "/gateway/verify?" .. question,
      redirect = false,
      sink = ltn12.sink.table(body),
      headers = {
        authorization = r.headers_in["Authorization"],
        -- The original path is Apache's word, not the client's.
        ["x-forwarded-uri"] = r.unparsed_uri,
        ["x-forwarded-for"] = r.useragent_ip,
        ["x-request-id"] = r.subprocess_env["UNIQUE_ID"],
      },
    }
    if type(status) == "number" then return status, headers, table.concat(body) end
  end
end

local function check(r, question)
  -- Who a user is comes from Latchkey alone: in any spelling, what a client sends by such a name is dropped.
  for name in pairs(r:headers_in_table()) do
    if name:lower():find("^x[-_.]latchkey[-_.]") then r.headers_in[name] = nil end
  end
  local status, headers, body = ask(r, question)
  if status == 200 then
    for _, name in ipairs(identity) do
      r.headers_in["X-Latchkey-" .. name] = headers["x-latchkey-" .. name:lower()] or "-"
    end
    -- The service needs no token, and cannot lose one that it does not have.
    r.headers_in["Authorization"] = nil
    return apache2.OK
  end
  if status ~= 401 and status ~= 403 and status ~= 503 then
    status, headers, body = 503, {}, unavailable
  end
  for _, name in ipairs { "WWW-Authenticate", "Retry-After" } do
    local value = headers[name:lower()]
    if value then r.err_headers_out[name] = value end
  end
  r.subprocess_env["LATCHKEY_REFUSED"] = "1"
  r:custom_response(status, body)
  return status
end

function owner(r) return check(r, "owner=/notes/:user_id") end
function user(r) return check(r, "access=user") end
function optional(r) return check(r, "access=optional") end
