-- Asks Latchkey whether a request may pass. Fails closed: without an answer, 503.
local url = "http://127.0.0.1:8090/gateway/verify?"
local identity = {
  "x-latchkey-user", "x-latchkey-key", "x-latchkey-issuer", "x-latchkey-session", "x-latchkey-client",
  "x-latchkey-scope", "x-latchkey-expires", "x-latchkey-auth-time", "x-latchkey-acr",
}
local unavailable = '{"type":"about:blank","title":"Service Unavailable","status":503,'
  .. '"detail":"The service is temporarily unavailable","code":"service_unavailable"}'

local function first(headers, name)
  return headers and headers[name] and headers[name][0]
end

-- All of them: of two tokens, none counts.
local function all(headers, name)
  local values, at = {}, 0
  while headers[name] and headers[name][at] do
    values[#values + 1] = headers[name][at]
    at = at + 1
  end
  return values
end

core.register_action("latchkey", { "http-req" }, function(txn, question)
  local sent = txn.http:req_get_headers()
  local answer = core.httpclient():get {
    url = url .. question,
    timeout = 3000,
    headers = {
      ["authorization"] = all(sent, "authorization"),
      -- The original path is HAProxy's word, not the client's.
      ["x-forwarded-uri"] = { txn.sf:pathq() },
      ["x-forwarded-for"] = { txn.sf:src() },
      ["x-request-id"] = { first(sent, "x-request-id") },
    },
  }
  if answer and answer.status == 200 then
    for _, name in ipairs(identity) do
      txn.http:req_set_header(name, first(answer.headers, name) or "-")
    end
    return
  end
  -- HAProxy's own 503, where no instance is there, is no problem.
  local refused = answer and (answer.status == 401 or answer.status == 403 or answer.status == 503)
    and (first(answer.headers, "content-type") or ""):find("^application/problem%+json")
  local reply = txn:reply { status = refused and answer.status or 503 }
  reply:add_header("content-type", "application/problem+json")
  reply:add_header("cache-control", "no-store")
  for _, name in ipairs { "www-authenticate", "retry-after" } do
    local value = refused and first(answer.headers, name)
    if value then reply:add_header(name, value) end
  end
  reply:set_body(refused and answer.body or unavailable)
  txn:done(reply)
end, 1)
