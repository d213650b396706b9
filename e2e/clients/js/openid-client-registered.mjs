// An app on openid-client that registers itself, and manages what it registered (RFC 7591, RFC 7592).
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { begin, signIn, signingKey } from './app.mjs'
import { end, fails, isLedTo, opens, permit, settings, step } from './story.mjs'

const { issuer, sub } = settings
const CALLBACK = 'https://app.example/callback'
const METADATA = {
  client_name: 'Registered by itself',
  redirect_uris: [CALLBACK],
  grant_types: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_method: 'client_secret_basic',
}

/** The library's registration: the configuration it returns knows what was registered. */
const registers = (initialAccessToken, changes = {}, authentication = client.ClientSecretBasic()) =>
  client.dynamicClientRegistration(new URL(issuer), { ...METADATA, ...changes }, authentication, {
    initialAccessToken,
    execute: [client.enableNonRepudiationChecks],
  })

/** The library has no word for RFC 7592: a registration is a resource, and its token opens it. */
const manages = (config, method, metadata, token = config.clientMetadata().registration_access_token) =>
  client.fetchProtectedResource(
    config,
    token,
    new URL(config.clientMetadata().registration_client_uri),
    method,
    metadata && JSON.stringify(metadata),
    metadata && new Headers({ 'content-type': 'application/json' }),
  )

const challenged = async (promise, error) => {
  const { cause } = await fails(promise, { name: 'WWWAuthenticateChallengeError', status: 401 })
  assert.equal(cause[0].scheme, 'bearer')
  assert.equal(cause[0].parameters.error, error)
}

const token = await permit('for one client', 1)

await step('without a token, or with a wrong one: 401 and a challenge (RFC 7591 §3)', async () => {
  await challenged(registers(), undefined)
  await challenged(registers('nonsense'), 'invalid_token')
})

await step('what is wrong with the metadata is said, and the token stays good (§3.2.2)', async () => {
  for (const [changes, error] of [
    [{ redirect_uris: ['http://app.example/callback'] }, 'invalid_redirect_uri'],
    [{ redirect_uris: [`${CALLBACK}#top`] }, 'invalid_redirect_uri'],
    [{ redirect_uris: [] }, 'invalid_redirect_uri'],
    [{ grant_types: ['password'] }, 'invalid_client_metadata'],
    [{ token_endpoint_auth_method: 'private_key_jwt' }, 'invalid_client_metadata'],
    [{ scope: 'openid account:write' }, 'invalid_client_metadata'],
    [{ software_statement: 'e30.e30.AA' }, 'unapproved_software_statement'],
  ]) {
    await fails(registers(token, changes), { name: 'ResponseBodyError', error, status: 400 })
  }
})

const config = await step('with the token: an id, a secret, and the way back to the registration (§3.2.1)', async () => {
  const config = await registers(token)
  const known = config.clientMetadata()
  assert.ok(known.client_id && known.client_secret && known.registration_access_token)
  assert.equal(known.client_secret_expires_at, 0)
  assert.ok(known.registration_client_uri.startsWith(`${issuer}/`))
  for (const [name, value] of Object.entries(METADATA)) assert.deepEqual(known[name], value, name)
  return config
})

await step('the token is used up', async () => challenged(registers(token), 'invalid_token'))

await step('the whole flow as that client: consent, tokens, refresh, userinfo, revocation', async () => {
  const page = await opens((await begin(config, CALLBACK, { scope: 'openid profile' })).url, { decision: 'deny' })
  assert.match(page.callback, /error=access_denied/, 'somebody whom nobody vouched for asks for consent')
  const tokens = await signIn(config, CALLBACK)
  assert.equal(tokens.claims().sub, sub)
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
  assert.equal((await client.fetchUserInfo(config, refreshed.access_token, sub)).email, settings.email)
  assert.equal((await client.tokenIntrospection(config, refreshed.access_token)).active, true)
  await client.tokenRevocation(config, refreshed.refresh_token)
  await fails(client.refreshTokenGrant(config, refreshed.refresh_token), { error: 'invalid_grant' })
})

await step('read (RFC 7592 §2.1)', async () => {
  const answer = await manages(config, 'GET')
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('cache-control'), 'no-store')
  const said = await answer.json()
  assert.equal(said.client_id, config.clientMetadata().client_id)
  assert.deepEqual(said.redirect_uris, [CALLBACK])
})

await step('updated (§2.2): the redirect URI that was left out serves no more', async () => {
  const { client_id, client_secret } = config.clientMetadata()
  const moved = 'https://app.example/moved'
  const wanted = { ...METADATA, client_id, client_secret, client_name: 'Moved', redirect_uris: [moved] }
  const answer = await manages(config, 'PUT', wanted)
  assert.equal(answer.status, 200)
  const said = await answer.json()
  assert.deepEqual([said.client_name, said.redirect_uris], ['Moved', [moved]])
  assert.equal((await opens((await begin(config, CALLBACK)).url)).page.status, 400)
  assert.equal((await signIn(config, moved)).claims().sub, sub)

  for (const [changes, error] of [
    [{ redirect_uris: ['http://app.example/'] }, 'invalid_redirect_uri'],
    [{ client_secret: 'of its own choice' }, 'invalid_client_metadata'],
    [{ client_id: 'another' }, 'invalid_client_metadata'],
    [{ registration_access_token: 'x' }, 'invalid_client_metadata'],
    [{ grant_types: ['password'] }, 'invalid_client_metadata'],
  ]) {
    const refused = await manages(config, 'PUT', { ...wanted, ...changes })
    assert.deepEqual([refused.status, (await refused.json()).error], [400, error])
  }
  assert.deepEqual((await (await manages(config, 'GET')).json()).redirect_uris, [moved], 'nothing changed')
})

await step('a wrong registration token, or another client\'s: 401 (§2)', async () => {
  const other = await registers(await permit('for another client', 1))
  const { registration_access_token } = other.clientMetadata()
  for (const wrong of ['nonsense', token, registration_access_token]) {
    for (const method of ['GET', 'DELETE']) await challenged(manages(config, method, undefined, wrong), 'invalid_token')
    await challenged(manages(config, 'PUT', METADATA, wrong), 'invalid_token')
  }
  assert.equal((await manages(config, 'GET')).status, 200)
})

await step('deleted (§2.3): its tokens, its secret and its registration are gone', async () => {
  const { refresh_token } = await signIn(config, 'https://app.example/moved')
  assert.equal((await manages(config, 'DELETE')).status, 204)
  await challenged(manages(config, 'GET'), 'invalid_token')
  const error = await fails(client.refreshTokenGrant(config, refresh_token), { status: 401 })
  assert.equal((await error.response.json()).error, 'invalid_client')
  assert.equal((await opens((await begin(config, 'https://app.example/moved')).url)).page.status, 400)
})

await step('an app with keys of its own, which are its secret: private_key_jwt', async () => {
  const { key, jwks } = await signingKey('ES256')
  const metadata = { token_endpoint_auth_method: 'private_key_jwt', jwks }
  const keyed = await registers(await permit('for keys', 1), metadata, client.PrivateKeyJwt(key))
  assert.equal(keyed.clientMetadata().client_secret, undefined)
  assert.equal((await signIn(keyed, CALLBACK)).claims().sub, sub)
  const { key: strange } = await signingKey('ES256')
  const thief = await client.discovery(
    new URL(issuer),
    keyed.clientMetadata().client_id,
    undefined,
    client.PrivateKeyJwt(strange),
  )
  const { url, remembered } = await begin(keyed, CALLBACK)
  const stolen = client.authorizationCodeGrant(thief, await isLedTo(url), remembered)
  await fails(stolen, { error: 'invalid_client', status: 401 })
})

await step('a public app, with PKCE alone', async () => {
  const open = await registers(await permit('for a public one', 1), { token_endpoint_auth_method: 'none' }, client.None())
  assert.equal(open.clientMetadata().client_secret, undefined)
  const tokens = await signIn(open, CALLBACK)
  await client.refreshTokenGrant(open, tokens.refresh_token)
})

end()
