// An app on openid-client whose tokens are of use to nobody else: bound to its certificate (RFC 8705)
// or to a key that it proves to hold (RFC 9449).
import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import * as client from 'openid-client'
import { Agent, fetch as undiciFetch } from 'undici'
import { CALLBACK, CODE_FLOW, app, signIn } from './app.mjs'
import { certificate, end, fails, settings, step } from './story.mjs'

const { api, sub } = settings
const MACHINE = { redirect_uris: [], grant_types: ['client_credentials'] }

/** Makes the library's connections show a certificate, as its documentation has it. */
const showing = (identity) => (config) => {
  const dispatcher = new Agent({ connect: { cert: identity?.certificate, key: identity?.key } })
  config[client.customFetch] = (url, options) => undiciFetch(url, { ...options, dispatcher })
}
// The library is to use the endpoints that ask for certificates (§5).
const bound = { use_mtls_endpoint_aliases: true, tls_client_certificate_bound_access_tokens: true }

/** An app that registers `metadata` and shows `identity`. */
const mutual = (metadata, identity) => app({ ...bound, ...metadata }, client.TlsClientAuth(), showing(identity))

const certified = await certificate('Certified app')
const own = await certificate('Its own app', true)
const jwk = createPublicKey(own.certificate).export({ format: 'jwk' })
const methods = {
  tls_client_auth: [
    { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=Certified app' },
    certified,
  ],
  self_signed_tls_client_auth: [
    { token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks: { keys: [jwk] } },
    own,
  ],
}

for (const [method, [metadata, identity]] of Object.entries(methods)) {
  await step(`${method}: the code flow, and tokens bound to the certificate`, async () => {
    const config = await mutual({ ...CODE_FLOW, ...metadata }, identity)
    const tokens = await signIn(config)
    assert.equal(tokens.claims().sub, sub)
    const info = await client.fetchUserInfo(config, tokens.access_token, sub)
    assert.equal(info.email, settings.email)
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
    const known = await client.tokenIntrospection(config, refreshed.access_token)
    assert.ok(known.cnf['x5t#S256'], 'RFC 8705 §3.2')
    // Without the certificate it is of no use.
    showing(undefined)(config)
    const error = await fails(client.fetchUserInfo(config, refreshed.access_token, sub), { status: 401 })
    assert.equal(error.cause[0].parameters.error, 'invalid_token')
    await client.tokenRevocation(config, refreshed.refresh_token).then(
      () => assert.fail('revoked by nobody'),
      (error) => assert.equal(error.error, 'invalid_client'),
    )
    showing(identity)(config)
    await client.tokenRevocation(config, refreshed.refresh_token)
  })

  await step(`${method}: a service, let in by the API with its certificate alone`, async () => {
    const config = await mutual({ ...MACHINE, ...metadata }, identity)
    const { access_token } = await client.clientCredentialsGrant(config, { scope: 'referral-codes:read' })
    const url = new URL(`${api}/v1/referral-codes/lookup?email=nobody@example.com`)
    assert.equal((await client.fetchProtectedResource(config, access_token, url, 'GET')).status, 404)
    showing(undefined)(config)
    const error = await fails(client.fetchProtectedResource(config, access_token, url, 'GET'), { status: 401 })
    assert.equal(error.cause[0].parameters.error, 'invalid_token')
  })

  await step(`${method}: another certificate, or none: invalid_client`, async () => {
    const stranger = method === 'tls_client_auth' ? await certificate('Stranger') : await certificate('Its own app', true)
    for (const identity of [stranger, undefined]) {
      const config = await mutual({ ...MACHINE, ...metadata }, identity)
      await fails(client.clientCredentialsGrant(config), { error: 'invalid_client', status: 401 })
    }
  })
}

// DPoP (RFC 9449). The server wants a nonce of its own in each proof (§8); the library learns it and asks again.
await step('DPoP: code flow, userinfo, refresh and introspection, each proved with one key', async () => {
  const config = await app(CODE_FLOW)
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const tokens = await signIn(config, CALLBACK, { dpop_jkt: await DPoP.calculateThumbprint() }, { DPoP })
  assert.equal(tokens.token_type, 'dpop')
  assert.equal(tokens.claims().sub, sub)
  assert.equal((await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP })).email, settings.email)
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
  assert.equal(refreshed.token_type, 'dpop')
  const known = await client.tokenIntrospection(config, refreshed.access_token)
  assert.equal(known.cnf.jkt, await DPoP.calculateThumbprint(), 'RFC 9449 §6.2')
  // As a bearer token, or with another key, it is of no use (§7.1).
  const thief = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  for (const options of [{}, { DPoP: thief }]) {
    const error = await fails(client.fetchUserInfo(config, refreshed.access_token, sub, options), { status: 401 })
    assert.ok(error.cause.some(({ parameters }) => /invalid_(token|dpop_proof)/.test(parameters.error)), error.cause)
  }
})

await step('DPoP: a public client\'s refresh token is bound to its key (§5)', async () => {
  const config = await app({ ...CODE_FLOW, token_endpoint_auth_method: 'none', dpop_bound_access_tokens: true })
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const tokens = await signIn(config, CALLBACK, {}, { DPoP })
  const thief = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  await fails(client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: thief }), {
    error: /invalid_(grant|dpop_proof)/,
    status: 400,
  })
  await fails(client.refreshTokenGrant(config, tokens.refresh_token), { status: 400 })
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
  assert.equal(refreshed.token_type, 'dpop')
})

await step('DPoP: a code bound to one key is not redeemed with another (§10)', async () => {
  const config = await app(CODE_FLOW)
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const thief = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const stolen = signIn(config, CALLBACK, { dpop_jkt: await DPoP.calculateThumbprint() }, { DPoP: thief })
  await fails(stolen, { error: /invalid_(grant|dpop_proof)/, status: 400 })
})

for (const alg of ['ES256', 'PS256', 'Ed25519']) {
  await step(`DPoP: a service is let in by the API with a proof by ${alg}`, async () => {
    const config = await app(MACHINE)
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair(alg))
    const tokens = await client.clientCredentialsGrant(config, { scope: 'referral-codes:read' }, { DPoP })
    assert.equal(tokens.token_type, 'dpop')
    const url = new URL(`${api}/v1/referral-codes/lookup?email=nobody@example.com`)
    const call = (options) =>
      client.fetchProtectedResource(config, tokens.access_token, url, 'GET', undefined, undefined, options)
    assert.equal((await call({ DPoP })).status, 404)
    await fails(call({}), { status: 401 })
  })
}

end()
