# What the hosted pages say.

motto = Good things travel from friend to friend.
skip = Skip to the content
languages = Language

field-email = Email
field-password = Password
field-given-name = First name
field-family-name = Last name
field-referral-code = Referral code

faults-title = Please have a look at this
fault-email-invalid = Enter an email address, like name@example.com.
fault-email-undeliverable = This address does not take mail. Is there a typing mistake?
fault-email-disposable = This is a throw-away address. Use one that you keep.
fault-email-taken = There is an account with this address. Sign in instead.
fault-password-short = { $n ->
    [one] The password needs at least { $n } character.
   *[other] The password needs at least { $n } characters.
}
fault-password-long = This password is too long.
fault-password-common = This password is easily guessed. Use a few words in a row instead.
fault-name = A name has up to { $n } characters and no web or email address in it.
fault-locale = This language is not known.

refusal-unknown = There is no such referral code. Check it, or go on without one.
refusal-expired = This referral code has expired. Ask for a new one, or go on without.
refusal-deleted = Its owner has withdrawn this referral code. Ask for a new one, or go on without.
refusal-exhausted = This referral code has been used up. Ask for a new one, or go on without.
refusal-self = This is your own referral code. It is for your friends.

login-title = Sign in
login-for = to continue to { $client }
login-submit = Sign in
login-new = New here?
login-signup-link = Create an account
login-refused = The email address or the password is wrong. Check both and try again.
login-busy = A lot of people are signing in right now. Try again in a moment.

signup-title = Create your account
signup-for = to continue to { $client }
signup-invited-by = { $name } invites you
signup-invited = A friend invites you
signup-password-hint = { $n ->
    [one] { $n } character or more. A few words in a row work well.
   *[other] { $n } characters or more. A few words in a row work well.
}
signup-names-hint = Your name is up to you. Friends you invite will see it.
signup-code-hint = Only if a friend gave you one.
signup-submit = Create account
signup-known = Have an account already?
signup-login-link = Sign in
signup-limited = Too many sign-ups from here. Wait a minute and try again.

check-mail-title = Look into your mailbox
check-mail-text = We have sent a mail to
check-mail-next = Follow the link in it, and your account is ready.
check-mail-hint = Nothing there after a few minutes? Look into the spam folder, or check the address and sign up again.

consent-title = Allow access
consent-asks = asks for access to your account
consent-first-party = This is one of our own apps.
consent-stranger = Nobody here has checked who is behind this app. It chose its name itself.
consent-publisher = Published by
consent-destination = Takes you to
consent-website = The app’s website
consent-policy = Privacy policy
consent-terms = Terms of use
consent-other = Not you? Sign in as someone else
consent-allow = Allow
consent-deny = Deny
consent-code-create = Create referral codes for you
consent-code-read = See your referral codes
consent-code-delete = Delete your referral codes
consent-code-only = (only the code { $code })
consent-code-uses = (for { $max } uses at most)
consent-password = The app never sees your password.

place-app = an app on this device ({ $scheme })
place-device = a program on this device ({ $host })
onward-to = Go to { $place }

return-title = Back to the app
return-text = You are being taken back to the app. If nothing happens, go on yourself.
return-submit = Continue

scope-openid = Recognise you when you come back
scope-profile = See your name and language
scope-email = See your email address
scope-address = See your postal address
scope-phone = See your phone number
scope-offline-access = Keep this access while you are away
scope-account-read = See your account
scope-account-write = Change your account, or delete it
scope-referral-codes-read = See your referral codes, look up those of others, and send invitations
scope-referral-codes-write = Create and delete your referral codes
scope-referrals-read = See who signed up with your codes
scope-referrals-manage = Run the referral programme: decide about referrals
scope-webhooks-manage = Set up where other systems are told of referrals and rewards
scope-referrals-admin = See everybody’s referrals (administrators only)

device-title = Connect a device
device-text = Type the code that your device shows.
device-code = Code
device-code-hint = Eight letters. Capitals and the dash do not matter.
device-next = Continue
device-unknown = No device is waiting under this code. Check it, or have the device show a new one.
device-limited = Too many wrong codes. Wait a few minutes and try again.
device-compare = Is this the code on your device?
device-warning = Allow only what you began yourself, on a device in front of you. Whoever sent you this code gets into your account.
device-allowed-title = Your device is connected
device-allowed-text = Go back to it: it goes on by itself in a few seconds.
device-denied-title = No access given
device-denied-text = Your device learns nothing about you. You can close this page.

logout-title = Sign out?
logout-text = Apps that you signed in to from this browser lose their access too, unless you allowed them to keep it.
logout-asked = { $client } would like to sign you out of your { $brand } account.
logout-submit = Sign out
logout-stay = Stay signed in

signed-out-title = You are signed out
signed-out-text = This browser no longer knows you. Come back any time.
signed-out-apps = These apps are told as well:
signed-out-soon = It goes on by itself in a moment.
signed-out-onward = Back to { $client }
switched-title = You are signed in
switched-apps = These apps are told that whoever was here before has left:
switched-onward = Continue

verify-title = Confirm your address
verify-address-title = Is this your address?
verify-address-text = An account was opened with it. Confirm that the account is yours.
verify-password-hint = The one you chose when you signed up. If you have never chosen one, it was not you.
verify-password-wrong = This is not the password that was chosen at sign-up. Check it and try again. If it was not you who signed up, say so below.
verify-limited = Too many attempts. Wait a while and try again.
verify-address-submit = Yes, confirm
verify-disown = I did not open it
verify-disown-hint = If you did not open this account, say so, and we remove it.
verify-signup-title = Complete your sign-up
verify-signup-text = Somebody signed up with this address. If it was you, enter the password you chose.
verify-signup-submit = Create my account
verify-disown-signup = It was not me
verify-code-title = Your referral code no longer works
verify-code-text = You can create your account without it. Enter your password once more.
verify-code-submit = Create my account without a code
verify-done-title = Confirmed
verify-done-text = Thank you. This address is yours, and we know it now.
verify-done-link = Go on
verify-signed-up-title = Welcome!
verify-signed-up-text = Your account is ready. Sign in with your address and the password you chose.
verify-disowned-title = Removed
verify-disowned-text = Nobody has an account with your address here. Sorry for the trouble.
verify-taken-title = You have an account already
verify-taken-text = There is a confirmed account with this address. Nothing was changed.
verify-dead-title = This link does not work
verify-dead-text = It has been used, it is too old, or a part of it got lost. If you confirmed your address before, all is well: just sign in.

unsubscribe-title = No more invitations?
unsubscribe-text = Nobody will be able to invite you through us any more, whoever asks.
unsubscribe-submit = Never send me invitations
unsubscribe-done-title = Done
unsubscribe-done-text = You will get no more invitations from us.
unsubscribe-dead-title = This link does not work
unsubscribe-dead-text = A part of it may have got lost on the way. Open it from the mail once more.

welcome-title = One account, shared with friends
welcome-text = Sign in to apps with your { $brand } account, and invite friends with a code of your own.
welcome-signup = Create an account

home-title = Your account
home-hello = Hello, { $name }
home-hello-nameless = Hello
home-verified = confirmed
home-unverified = not confirmed yet
home-confirm = Confirm that this address is yours: by the link in the mail that comes to it.
home-confirm-again = No mail? Have it sent again
home-code-title = Your referral code
home-share = Link to share
home-copy = Copy the link
home-copied = Copied
home-code-until = Works until
home-no-code = You have no active referral code. Make one, and share it with friends.
home-make-code = Create a code
home-referrals = { $n ->
    [0] Nobody has signed up with your codes so far.
    [one] { $n } person signed up with your codes.
   *[other] { $n } people signed up with your codes.
}

error-home = To the start page
error-technical = For the makers of the app
error-request-id = Request
error-not-found-title = There is nothing here
error-not-found-text = The address may be mistyped, or the page has moved.
error-forged-title = This form has expired
error-forged-text = For your safety we did not accept it. Go back, reload the page and try again. If it happens again, allow cookies for this site.
error-malformed-title = We could not read that
error-malformed-text = The request was incomplete or damaged. Go back and try again.
error-internal-title = Something went wrong on our side
error-internal-text = It is not your fault. Try again in a moment.
error-unavailable-title = Back in a moment
error-unavailable-text = We can’t answer just now. Try again in a few seconds.
error-limited-title = Slow down, please
error-limited-text = There were too many requests from here. Wait a minute and try again.
error-oauth-title = This app’s request does not fit
error-oauth-text = The app that sent you here asked for something we can’t give it. Go back to it and start again; if that does not help, tell its makers.
error-stranger-text = An app that we do not know well sent you here with a request we can’t answer. Go on to it only if you trust where the button leads.
error-expired-title = This took too long
error-expired-text = The app’s request has expired, or you have answered it in another tab. Start again from the app.
error-expired-back = Back to { $client }
