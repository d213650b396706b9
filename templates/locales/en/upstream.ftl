# Other ways to sign in: waiting after mistakes, choosing an account, other providers.

login-wait-seconds = { $n ->
    [one] Too many attempts. Try again in { $n } second.
   *[other] Too many attempts. Try again in { $n } seconds.
}
login-wait-minutes = { $n ->
    [one] Too many attempts. Try again in { $n } minute.
   *[other] Too many attempts. Try again in { $n } minutes.
}

choose-title = Choose an account
choose-link = Choose an account you used here
choose-current = Signed in
choose-signed-out = Signed out
choose-forget = Forget { $name } in this browser
choose-other = Use another account
choose-hint = Only this browser remembers these accounts. To take away the one you are signed in to, sign out first.

ways-or = or
ways-continue = Continue with { $provider }

upstream-back = Back to sign-in
upstream-back-account = Back to your account
upstream-down-title = { $provider } does not answer
upstream-down-text = We could not reach { $provider } just now. Try again in a moment, or sign in another way.
upstream-declined-title = Not signed in
upstream-declined-text = The sign-in at { $provider } was cancelled. Nothing has changed here.
upstream-refused-title = { $provider } could not sign you in
upstream-refused-text = The answer of { $provider } was not one that we can trust. Try again, or sign in another way.
upstream-gone-title = This sign-in is over
upstream-gone-text = It was used already, took too long, or began in another browser. Start again.
upstream-taken-title = This account is in use
upstream-taken-text = This { $provider } account signs somebody in already. Take it away there first, or use another one.

upstream-new-text = You are new here. { $provider } told us who you are; check it, and your account is ready. You need no password.
upstream-link-title = Connect { $provider }
upstream-prove-text = There is an account with this address already. If it is yours, sign in to it once, as usual. From then on you can also sign in with { $provider }.
upstream-prove-link = Sign in to connect
upstream-prove-hint = We ask because an address alone does not prove that an account is yours.
upstream-confirm-text = You are signed in to this account. Shall { $provider } sign you in to it from now on?
upstream-confirm-submit = Connect and continue

upstream-account-title = Sign-in with other providers
upstream-account-text = Connect an account that you have elsewhere, and use it to sign in here.
upstream-account-none = No other provider is set up here.
upstream-linked-on = connected on { $day }
upstream-add = Connect
upstream-remove = Disconnect
upstream-only-way = This is your only way in. Add another one before you disconnect it.

mail-notice-provider-linked-subject = Another way to sign in was added
mail-notice-provider-linked-intro = Since { $moment }, your account at { $site } can also be signed in to by way of another provider.
mail-notice-provider-linked-button = See how you sign in
mail-notice-provider-linked-note = If it was not you, unlink it and change your password.

mail-notice-provider-unlinked-subject = A way to sign in was removed
mail-notice-provider-unlinked-intro = Since { $moment }, another provider does not sign you in to your account at { $site } any more.
mail-notice-provider-unlinked-button = See how you sign in
mail-notice-provider-unlinked-note = If it was not you, change your password and see who is signed in.

security-upstream = See the providers
