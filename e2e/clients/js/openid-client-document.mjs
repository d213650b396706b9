// An app on openid-client that nobody registered: its id is the address of a document about it
// (draft-ietf-oauth-client-id-metadata-document).
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { begin, discover, serves, signIn, signingKey } from './app.mjs'
import { end, fails, isLedTo, opens, seconds, settings, soon, step } from './story.mjs'

const { sub } = settings
const CALLBACK = 'https://app.example/callback'

const documents = {}
const site = await serves((request, response) => {
  const document = documents[request.url]
  response.writeHead(document ? 200 : 404, { 'content-type': 'application/json' })
  response.end(JSON.stringify(document ?? {}))
})

/** Publishes a document; its address is the client's id. */
function publish(path, changes) {
  const client_id = site.url + path
  documents[path] = {
    client_id,
    client_name: 'Known by its document',
    redirect_uris: [CALLBACK],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
    ...changes,
  }
  return client_id
}

/** Where a request of this client ends. */
const begins = async (client_id, redirect_uri = CALLBACK) =>
  opens((await begin(await discover(client_id, undefined, client.None()), redirect_uri)).url)

const config = await step('a public app: the whole flow, and what the person is shown', async () => {
  const config = await discover(publish('/client'), undefined, client.None())
  assert.equal(config.serverMetadata().client_id_metadata_document_supported, true)
  const denied = await isLedTo((await begin(config, CALLBACK)).url, { decision: 'deny' })
  assert.equal(denied.searchParams.get('error'), 'access_denied')
  const tokens = await signIn(config, CALLBACK)
  assert.equal(tokens.claims().sub, sub)
  assert.deepEqual(tokens.claims().aud, [`${site.url}/client`])
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
  assert.equal((await client.fetchUserInfo(config, refreshed.access_token, sub)).email, settings.email)
  await client.tokenRevocation(config, refreshed.refresh_token)
  await fails(client.refreshTokenGrant(config, refreshed.refresh_token), { error: 'invalid_grant' })
  return config
})

await step('with keys in its document: private_key_jwt, and a pushed request', async () => {
  const { key, jwks } = await signingKey('ES256')
  const id = publish('/keyed', { token_endpoint_auth_method: 'private_key_jwt', jwks })
  const keyed = await discover(id, undefined, client.PrivateKeyJwt(key))
  const { request, remembered } = await begin(keyed, CALLBACK)
  const url = await client.buildAuthorizationUrlWithPAR(keyed, request)
  const tokens = await client.authorizationCodeGrant(keyed, await isLedTo(url), remembered)
  assert.equal(tokens.claims().sub, sub)
  const { key: strange } = await signingKey('ES256')
  const thief = await discover(id, undefined, client.PrivateKeyJwt(strange))
  await fails(client.refreshTokenGrant(thief, tokens.refresh_token), { error: 'invalid_client', status: 401 })
  await client.refreshTokenGrant(keyed, tokens.refresh_token)
})

await step('a redirect URI that is not in the document: a page, and no redirect', async () => {
  assert.equal((await begins(`${site.url}/client`, 'https://evil.example/callback')).page.status, 400)
})

await step('no document, one about another client, one with a secret: there is no such client', async () => {
  assert.equal((await begins(`${site.url}/nothing`)).page.status, 400)
  assert.equal((await begins(publish('/elsewhere', { client_id: `${site.url}/client` }))).page.status, 400)
  assert.equal((await begins(publish('/secret', { client_secret: 'shared with everybody' }))).page.status, 400)
  assert.equal((await begins(publish('/post', { token_endpoint_auth_method: 'client_secret_post' }))).page.status, 400)
  const stranger = await discover(`${site.url}/nothing`, undefined, client.None())
  await fails(client.refreshTokenGrant(stranger, 'nonsense'), { error: 'invalid_client', status: 401 })
})

await step('a document that has changed is read again', async () => {
  publish('/client', { redirect_uris: ['https://app.example/moved'] })
  await seconds(24 * 3600)
  // What an instance read it believes for a second more.
  await soon(async () => (await opens((await begin(config, CALLBACK)).url)).page?.status === 400)
  assert.ok((await opens((await begin(config, 'https://app.example/moved')).url)).callback)
})

site.close()
end()
