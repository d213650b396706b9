// A single-page app on oidc-client-ts: https://github.com/authts/oidc-client-ts. The story in `in_the_browser.rs` clicks,
// goes through the hosted pages, and asks `window.app` for what only a script can tell.
/* global oidc */
const settings = await (await fetch('/settings.json')).json()
const options = {
  authority: settings.issuer,
  client_id: settings.client_id,
  redirect_uri: `${location.origin}/callback`,
  silent_redirect_uri: `${location.origin}/silent`,
  scope: 'openid profile email offline_access',
  loadUserInfo: true,
  automaticSilentRenew: false,
  userStore: new oidc.WebStorageStateStore({ store: sessionStorage }),
}
const manager = new oidc.UserManager(options)
const result = document.querySelector('#result')

/** What the story may see of someone signed in. */
const shown = (user) =>
  user && {
    profile: user.profile,
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
  show(await manager.signinCallback().then(shown, told))
} else if (location.pathname === '/silent') {
  await manager.signinSilentCallback()
} else {
  show(shown(await manager.getUser()))
}
