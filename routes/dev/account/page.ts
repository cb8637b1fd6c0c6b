import { createHash } from 'node:crypto'

const style = `
:root { color-scheme: light dark; --text: #1b2330; --soft: #5b6472; --page: #f2f4f7; --card: #fff; --line: #d3d9e3; --strong: #1f4fd8; --on-strong: #fff; --good: #e3f4e8; --bad: #fdeaea }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ef; --soft: #9aa5b5; --page: #14181f; --card: #1d232d; --line: #3a4352; --strong: #8fb0ff; --on-strong: #10151d; --good: #173524; --bad: #45201f } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 760px; padding: 24px 16px; font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page) }
h1 { font-size: 24px; margin: 0 }
h2 { font-size: 18px; margin: 0 0 8px }
h3 { font-size: 15px; margin: 20px 0 4px }
p { margin: 8px 0; overflow-wrap: anywhere }
nav, .hint, small { color: var(--soft) }
[hidden] { display: none }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px 20px; margin: 16px 0 }
.two { display: grid; gap: 0 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 280px), 1fr)) }
form { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: flex-end }
form.column { flex-direction: column; align-items: stretch }
label { flex: 1 1 240px; display: block; color: var(--soft); font-size: 13px }
form.column label { flex: none }
input { display: block; width: 100%; margin-top: 2px; padding: 7px 10px; font: inherit; font-size: 15px; color: var(--text); background: var(--page); border: 1px solid var(--line); border-radius: 6px }
button { padding: 7px 14px; font: inherit; font-weight: 600; color: var(--on-strong); background: var(--strong); border: 1px solid var(--strong); border-radius: 6px; cursor: pointer }
button.quiet, #sessions button { color: var(--strong); background: none }
form[aria-busy=true] button { opacity: .5 }
:focus-visible { outline: 2px solid var(--strong); outline-offset: 2px }
a { color: var(--strong); overflow-wrap: anywhere }
code { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere }
#message { position: sticky; top: 8px; margin: 16px 0 0; padding: 10px 14px; border-radius: 6px; border: 1px solid var(--line) }
#message.done { background: var(--good) }
#message.refused { background: var(--bad) }
.row { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; margin: 12px 0 0 }
ul { list-style: none; margin: 0; padding: 0 }
#sessions li { display: flex; justify-content: space-between; align-items: center; gap: 16px; padding: 10px 0; border-top: 1px solid var(--line) }
#sessions li:first-child { border-top: 0 }
#sessions div > * { display: block; overflow-wrap: anywhere }
.setup { display: flex; flex-wrap: wrap; gap: 8px 24px; align-items: center; margin: 12px 0 }
.setup > div { flex: 1 1 260px; min-width: 0 }
#qr { flex: 0 0 220px; line-height: 0 }
#qr svg { width: 220px; height: 220px; background: #fff; fill: #000; border-radius: 6px }
dialog { width: min(380px, calc(100% - 32px)); padding: 16px 20px; color: var(--text); background: var(--card); border: 1px solid var(--line); border-radius: 8px }
dialog::backdrop { background: rgb(0 0 0 / .5) }
#step-up-refusal:empty { display: none }
#step-up-refusal { padding: 8px 12px; border-radius: 6px; background: var(--bad) }
#codes { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 4px 16px; margin: 8px 0 }
`

const code = (label = 'Code', required = ' required') =>
  `<label>${label}<input name="code"${required} maxlength="64" autocomplete="one-time-code" autocapitalize="off" spellcheck="false"></label>`
const password = (kind: 'current' | 'new') =>
  `<label>Password<input name="password" type="password" required autocomplete="${kind}-password"></label>`
const email =
  '<label>E-mail address<input name="email" type="email" required autocomplete="username"></label>'

const again = password('current') + code('Code, with a second factor', '')

const body = (base: string) => `<h1>Account</h1>
<nav><a href="${base}/dev/mailbox">Mailbox</a></nav>
<p class="hint">Development only: what a frontend does, by latchkey-client. The tokens are in the memory of this page, so a reload forgets them.</p>
<p id="message" role="status" hidden></p>
<noscript><p>This page needs JavaScript.</p></noscript>
<main>
<section id="signed-out" hidden>
<div class="two">
<div class="card"><h2>Log in</h2><form id="log-in" class="column">${email}${password('current')}<button>Log in</button></form></div>
<div class="card"><h2>Sign up</h2><form id="sign-up" class="column"><label>Name<input name="name" required maxlength="100" autocomplete="name"></label>${email}${password('new')}<button>Sign up</button></form></div>
</div>
</section>
<section id="code-wanted" hidden>
<div class="card"><h2>Second factor</h2>
<form id="second-factor">${code('Code of the app, or a recovery code')}<button>Log in</button><button type="button" class="quiet" id="back">Back</button></form></div>
</section>
<section id="signed-in" hidden>
<div class="card"><h2>Session</h2>
<p id="user"></p>
<p class="hint"><code id="claims"></code></p>
<div class="row"><button type="button" id="log-out">Log out</button><button type="button" class="quiet" id="reload">Look again</button></div>
<h3>Authenticate again</h3>
<p class="hint">For a new time of login, and <code>acr aal2</code> with a code.</p>
<form id="reauthenticate">${again}<button>Authenticate</button></form>
</div>
<div class="card"><h2>Sessions</h2><ul id="sessions"></ul></div>
<div class="card"><h2>Second factor</h2>
<p id="factor-state"></p>
<div>
<section id="factor-off" hidden>
<form id="set-up">${password('current')}<button>Set up an authenticator app</button></form>
</section>
<section id="factor-setup" hidden>
<div class="setup"><div id="qr"></div><div><p>Scan the code with an authenticator app, or open <a id="otpauth">the otpauth link</a>, or type the secret:</p><p><code id="secret"></code></p></div></div>
<form id="confirm">${code('Code that the app shows')}<button>Confirm</button><button type="button" class="quiet" id="cancel">Cancel</button></form>
</section>
<section id="factor-codes" hidden>
<h3>Recovery codes</h3>
<p class="hint">Shown this once. Each is good once, in place of a code of the app: keep them apart from the device.</p>
<ul id="codes"></ul>
<div class="row"><button type="button" id="kept">I have kept them</button></div>
</section>
<section id="factor-on" hidden>
<h3>New recovery codes</h3>
<form id="renew">${code()}<button>Replace</button></form>
<h3>Remove the second factor</h3>
<form id="remove">${code('Code of the app, or a recovery code')}<button>Remove</button></form>
</section>
</div>
</div>
</section>
</main>
<dialog id="step-up" aria-labelledby="step-up-title">
<h2 id="step-up-title">Authenticate again</h2>
<p id="step-up-need"></p>
<p id="step-up-refusal"></p>
<form id="step-up-form" class="column">${again}<button>Authenticate</button><button type="button" class="quiet" id="give-up">Give up</button></form>
</dialog>`

interface Page {
  readonly html: string
  readonly policy: string
}

/**
 * The page with its script, and the policy that allows these two and calls of this service.
 * @param base the gateway's prefix
 */
export function accountPage(base: string, script: string): Page {
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  return {
    policy: [
      "default-src 'none'",
      `script-src ${hash(script)}`,
      `style-src ${hash(style)}`,
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Account · Latchkey</title>
<style>${style}</style>
</head>
<body data-base="${base}">
${body(base)}
<script type="module">${script}</script>
</body>
</html>
`,
  }
}
