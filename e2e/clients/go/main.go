// An app on go-oidc and x/oauth2: https://github.com/coreos/go-oidc, https://pkg.go.dev/golang.org/x/oauth2.
package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	settings := load()
	ctx := context.Background()
	web, post, native, service :=
		settings.Clients["web"], settings.Clients["post"], settings.Clients["native"], settings.Clients["service"]

	var provider *oidc.Provider
	step("discovery", func() {
		provider = must(oidc.NewProvider(ctx, settings.Issuer))
		_, err := oidc.NewProvider(ctx, settings.Issuer+"/")
		demand(err != nil, "an issuer that differs by a slash was taken")
	})

	config := func(client Client) *oauth2.Config {
		return &oauth2.Config{
			ClientID:     client.ID,
			ClientSecret: client.Secret,
			Endpoint:     provider.Endpoint(),
			RedirectURL:  client.RedirectURI,
			Scopes:       []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
		}
	}

	// What the app remembers of a sign-in it began.
	type begun struct{ url, state, nonce, verifier string }
	begin := func(app *oauth2.Config, more ...oauth2.AuthCodeOption) begun {
		state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
		options := append([]oauth2.AuthCodeOption{oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)}, more...)
		return begun{app.AuthCodeURL(state, options...), state, nonce, verifier}
	}
	// Ann goes through the pages; the app takes the code if state and issuer are its own.
	code := func(sign begun) string {
		back := settings.isLedTo(sign.url, "ann", "allow")
		demand(back.Get("state") == sign.state, "state: %v", back)
		demand(back.Get("iss") == settings.Issuer, "iss (RFC 9207 §2): %v", back)
		return back.Get("code")
	}
	exchange := func(app *oauth2.Config, sign begun) *oauth2.Token {
		return must(app.Exchange(ctx, code(sign), oauth2.VerifierOption(sign.verifier)))
	}
	verify := func(client Client, token *oauth2.Token) *oidc.IDToken {
		raw, ok := token.Extra("id_token").(string)
		demand(ok, "no ID token")
		return must(provider.Verifier(&oidc.Config{ClientID: client.ID}).Verify(ctx, raw))
	}

	app := config(web)
	var token *oauth2.Token
	step("code flow with PKCE; the ID token's signature, issuer, audience, nonce and at_hash", func() {
		sign := begin(app)
		token = exchange(app, sign)
		id := verify(web, token)
		demand(id.Subject == settings.Sub, "sub is %s", id.Subject)
		demand(id.Nonce == sign.nonce, "nonce is %s", id.Nonce)
		check(id.VerifyAccessToken(token.AccessToken))
		demand(id.VerifyAccessToken("another") != nil, "at_hash fits any token")
		var claims struct {
			AuthTime int64 `json:"auth_time"`
		}
		check(id.Claims(&claims))
		demand(claims.AuthTime > 0, "no auth_time")
		demand(token.RefreshToken != "" && token.Type() == "Bearer", "%+v", token)
	})

	step("an ID token for someone else, expired, or tampered with is refused by the library", func() {
		raw := token.Extra("id_token").(string)
		_, err := provider.Verifier(&oidc.Config{ClientID: "someone else"}).Verify(ctx, raw)
		demand(err != nil && strings.Contains(err.Error(), "audience"), "%v", err)
		later := func() time.Time { return time.Now().Add(time.Hour) }
		_, err = provider.Verifier(&oidc.Config{ClientID: web.ID, Now: later}).Verify(ctx, raw)
		var expired *oidc.TokenExpiredError
		demand(errors.As(err, &expired), "%v", err)
		parts := strings.Split(raw, ".")
		parts[2] = parts[2][4:] + parts[2][:4]
		_, err = provider.Verifier(&oidc.Config{ClientID: web.ID}).Verify(ctx, strings.Join(parts, "."))
		demand(err != nil && strings.Contains(err.Error(), "signature"), "%v", err)
	})

	step("userinfo", func() {
		info := must(provider.UserInfo(ctx, oauth2.StaticTokenSource(token)))
		demand(info.Subject == settings.Sub && info.Email == settings.Email, "%+v", info)
		demand(!info.EmailVerified, "nobody verified it")
		_, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "nonsense"}))
		demand(err != nil && strings.Contains(err.Error(), "401"), "%v", err)
	})

	step("refresh by the library's token source, when the token is old; once more with the old one ends the family", func() {
		old := *token
		old.Expiry = time.Now().Add(-time.Minute)
		fresh := must(app.TokenSource(ctx, &old).Token())
		demand(fresh.AccessToken != token.AccessToken && fresh.RefreshToken != token.RefreshToken, "%+v", fresh)
		demand(verify(web, fresh).Subject == settings.Sub, "another person's ID token")
		again := must(app.TokenSource(ctx, &oauth2.Token{RefreshToken: fresh.RefreshToken}).Token())
		_, err := app.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		fails(err, "invalid_grant")
		_, err = app.TokenSource(ctx, &oauth2.Token{RefreshToken: again.RefreshToken}).Token()
		fails(err, "invalid_grant")
		soon(func() bool {
			_, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(again))
			return err != nil && strings.Contains(err.Error(), "401")
		})
	})

	step("client_secret_post, and a public client on a loopback port of its own (RFC 8252 §7.3)", func() {
		older := config(post)
		older.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		demand(verify(post, exchange(older, begin(older))).Subject == settings.Sub, "sub")
		desk := config(native)
		desk.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		desk.RedirectURL = strings.Replace(native.RedirectURI, "127.0.0.1", "127.0.0.1:49152", 1)
		demand(verify(native, exchange(desk, begin(desk))).Subject == settings.Sub, "sub")
	})

	job := clientcredentials.Config{
		ClientID:       service.ID,
		ClientSecret:   service.Secret,
		TokenURL:       provider.Endpoint().TokenURL,
		Scopes:         []string{"referral-codes:read"},
		EndpointParams: url.Values{"resource": {settings.API}},
	}
	step("client_credentials: the library's HTTP client is let in by the API", func() {
		answer := must(job.Client(ctx).Get(settings.API + "/v1/referral-codes/lookup?email=nobody@example.com"))
		answer.Body.Close()
		demand(answer.StatusCode == http.StatusNotFound, "%s", answer.Status)
	})

	step("invalid_client, invalid_scope, invalid_target, unauthorized_client", func() {
		for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
			wrong := job
			wrong.ClientSecret, wrong.AuthStyle = "wrong", style
			_, err := wrong.Token(ctx)
			fails(err, "invalid_client")
		}
		greedy := job
		greedy.Scopes = []string{"account:write"}
		_, err := greedy.Token(ctx)
		fails(err, "invalid_scope")
		astray := job
		astray.EndpointParams = url.Values{"resource": {"https://elsewhere.example"}}
		_, err = astray.Token(ctx)
		fails(err, "invalid_target")
		other := clientcredentials.Config{ClientID: web.ID, ClientSecret: web.Secret, TokenURL: job.TokenURL}
		// Not told, the library guesses, and after any refusal tries the other way, whose error it returns.
		other.AuthStyle = oauth2.AuthStyleInHeader
		_, err = other.Token(ctx)
		fails(err, "unauthorized_client")
	})

	step("a wrong redirect URI: a page, and no redirect (RFC 6749 §4.1.2.1)", func() {
		elsewhere := *app
		elsewhere.RedirectURL = "https://evil.example/callback"
		end := settings.opens(begin(&elsewhere).url, "ann", "allow")
		page, ok := end["page"].(map[string]any)
		demand(ok && page["status"] == float64(http.StatusBadRequest), "%v", end)
	})

	step("denied: access_denied; nobody there: login_required; an unknown scope: invalid_scope", func() {
		prompt := func(value string) oauth2.AuthCodeOption { return oauth2.SetAuthURLParam("prompt", value) }
		greedy := *app
		greedy.Scopes = append(slices.Clone(app.Scopes), "dragons")
		for _, ask := range []struct {
			sign                     begun
			browser, decision, error string
		}{
			{begin(app, prompt("consent")), "ann", "deny", "access_denied"},
			{begin(app, prompt("none")), "nobody", "allow", "login_required"},
			{begin(&greedy), "ann", "allow", "invalid_scope"},
		} {
			back := settings.isLedTo(ask.sign.url, ask.browser, ask.decision)
			demand(back.Get("error") == ask.error && back.Get("state") == ask.sign.state, "%v", back)
			demand(back.Get("iss") == settings.Issuer && !back.Has("code"), "%v", back)
		}
	})

	step("a code replayed, or redeemed with another verifier, redirect URI or client: invalid_grant", func() {
		sign := begin(app)
		code1 := code(sign)
		first := must(app.Exchange(ctx, code1, oauth2.VerifierOption(sign.verifier)))
		_, err := app.Exchange(ctx, code1, oauth2.VerifierOption(sign.verifier))
		fails(err, "invalid_grant")
		soon(func() bool {
			_, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(first))
			return err != nil && strings.Contains(err.Error(), "401")
		})
		sign = begin(app)
		_, err = app.Exchange(ctx, code(sign), oauth2.VerifierOption(oauth2.GenerateVerifier()))
		fails(err, "invalid_grant")
		sign = begin(app)
		elsewhere := *app
		elsewhere.RedirectURL = "http://127.0.0.1:1/elsewhere"
		_, err = elsewhere.Exchange(ctx, code(sign), oauth2.VerifierOption(sign.verifier))
		fails(err, "invalid_grant")
		sign = begin(app)
		thief := config(post)
		thief.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		_, err = thief.Exchange(ctx, code(sign), oauth2.VerifierOption(sign.verifier))
		fails(err, "invalid_grant")
	})

	step("an expired code: invalid_grant; an expired token is refused", func() {
		token := exchange(app, begin(app))
		sign := begin(app)
		late := code(sign)
		ask(settings.Driver, map[string]any{"ask": "pass", "seconds": 61})
		_, err := app.Exchange(ctx, late, oauth2.VerifierOption(sign.verifier))
		fails(err, "invalid_grant")
		ask(settings.Driver, map[string]any{"ask": "pass", "seconds": 600})
		_, err = provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		demand(err != nil && strings.Contains(err.Error(), "401"), "%v", err)
	})

	step("other keys sign: the library, which has the old ones, fetches them (OpenID Connect Core §10.1.1)", func() {
		before := verify(web, exchange(app, begin(app)))
		ask(settings.Driver, map[string]any{"ask": "rotate"})
		token := exchange(app, begin(app))
		demand(verify(web, token).Subject == before.Subject, "another person's ID token")
	})

	end()
}
