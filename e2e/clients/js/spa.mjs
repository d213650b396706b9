// A single-page app on oidc-client-ts: https://github.com/authts/oidc-client-ts. The story in `in_the_browser.rs` clicks,
// goes through the hosted pages, and asks `window.app` for what only a script can tell.
/* global oidc */
const settings = await (await fetch('/settings.json')).json()
const options = {
  authority: settings.issuer,
  client_id: settings.client_id,
  redirect_uri: `${location.origin}/callback`,
  silent_redirect_uri: `${location.origin}/silent`,
  post_logout_redirect_uri: `${location.origin}/bye`,
  scope: 'openid profile email offline_access',
  // With a proof of its key the library asks for tokens, and the app itself for everything else.
  loadUserInfo: !settings.dpop,
  dpop: settings.dpop ? { bind_authorization_code: true, store: new oidc.IndexedDbDPoPStore() } : undefined,
  automaticSilentRenew: false,
  // Where the page in a frame (`frontchannel.html`) and every tab of the app find it.
  userStore: new oidc.WebStorageStateStore({ store: localStorage }),
  stateStore: new oidc.WebStorageStateStore({ store: localStorage }),
}
const manager = new oidc.UserManager(options)
const result = document.querySelector('#result')

/** What the story may see of someone signed in. */
const shown = (user) =>
  user && {
    profile: user.profile,
    token_type: user.token_type,
    access_token: user.access_token,
    refresh_token: user.refresh_token,
    scope: user.scope,
    expires_in: user.expires_in,
  }

const show = (value) => {
  result.textContent = JSON.stringify(value)
  result.dataset.ready = 'yes'
}

/** An error as the library has it: `error` is the specification's code. */
const told = ({ name, message, error = null }) => ({ failed: { name, message, error } })

window.app = {
  user: async () => shown(await manager.getUser()),
  // By the refresh token.
  refresh: async () => shown(await manager.signinSilent()),
  // In a hidden frame, with prompt=none.
  silent: async () => shown(await withoutRefreshToken().signinSilent()),
  refreshWith: async (refresh_token) => {
    const user = await manager.getUser()
    await manager.storeUser(new oidc.User({ ...user, refresh_token }))
    return shown(await manager.signinSilent())
  },
  revoke: async () => {
    await manager.revokeTokens(['refresh_token'])
    return shown(await manager.getUser())
  },
  // The same answer of the server a second time.
  again: async (url) => shown(await manager.signinCallback(url)),
  signIn: (more) => manager.signinRedirect(more),
  // The sign-in that begins next comes back with this changed in what the app remembers of it.
  changes: async (name, value) => localStorage.setItem('changes', JSON.stringify({ [name]: value })),
  signOut: () => manager.signoutRedirect({ state: 'of the app' }),
  // What the page in a frame was told (OpenID Connect Front-Channel Logout §3).
  told: async () => JSON.parse(localStorage.getItem('told')),
  // Userinfo, with a proof of the app's key (RFC 9449 §7); or with the token alone.
  userinfo: async (proved = true) => {
    const user = await manager.getUser()
    const url = await manager.metadataService.getUserInfoEndpoint()
    const ask = async (nonce) => {
      const headers = { authorization: `${proved ? 'DPoP' : 'Bearer'} ${user.access_token}` }
      if (proved) headers.DPoP = await manager.dpopProof(url, user, 'GET', nonce)
      return fetch(url, { headers })
    }
    let answer = await ask()
    const nonce = answer.headers.get('dpop-nonce')
    if (proved && nonce && !answer.ok) answer = await ask(nonce)
    return { status: answer.status, challenge: answer.headers.get('www-authenticate'), body: await answer.json() }
  },
  // The key is gone, as on another machine.
  forgetKey: () => options.dpop.store.remove(settings.client_id),
}

/** The answer of the server, taken with what the app remembers of the question. */
async function callback() {
  const { state } = Object.fromEntries(new URLSearchParams(location.search))
  const name = `oidc.${state}`
  const remembered = localStorage.getItem(name)
  const changes = localStorage.getItem('changes')
  localStorage.removeItem('changes')
  if (changes) localStorage.setItem(name, JSON.stringify({ ...JSON.parse(remembered), ...JSON.parse(changes) }))
  window.app.replay = async () => {
    localStorage.setItem(name, remembered)
    return shown(await manager.signinCallback())
  }
  return manager.signinCallback().then(shown, told)
}

/** The same app, which has forgotten its refresh token. */
function withoutRefreshToken() {
  const userStore = new oidc.WebStorageStateStore({ store: new oidc.InMemoryWebStorage() })
  return new oidc.UserManager({ ...options, userStore, silentRequestTimeoutInSeconds: 15 })
}

/** For the story: what comes of it, or why not. */
window.does = (name, ...values) => window.app[name](...values).catch(told)

document.querySelector('#sign-in').addEventListener('click', () => manager.signinRedirect())
if (location.pathname === '/callback') {
  show(await callback())
} else if (location.pathname === '/silent') {
  await manager.signinSilentCallback()
} else if (location.pathname === '/bye') {
  show(await manager.signoutCallback().then(({ userState }) => ({ bye: userState }), told))
} else {
  show(shown(await manager.getUser()))
}
