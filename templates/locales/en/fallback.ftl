# Codes by mail in place of the app's, remembered devices, terms that have changed, addresses that are proved by a code.

mailed-use = Have a code mailed to you
mailed-lead = We can mail a code to the address of your account, for when neither the app nor a recovery code is at hand.
mailed-submit = Mail me a code
mailed-sent = A code is on its way to the address of your account. Enter it here, in this browser.
mailed-again = Send another mail
mailed-hint = Codes are mailed to a confirmed address only, and not after a forgotten password was replaced: sign in once with the password and the app, or a recovery code, first.
mailed-over = Too many wrong codes, or the code is too old. Have another one mailed.

remember-device = { $n ->
    [one] Don’t ask on this device for { $n } day
   *[other] Don’t ask on this device for { $n } days
}
remember-device-hint = Only on a device that nobody else uses.
remembered-title = Devices that are not asked for a code
remembered-text = On these, your password alone signs you in to most apps.
remembered-here = this device
remembered-since = Since { $day }
remembered-used = last used { $day }
remembered-until = Until { $day }
remembered-forget = Ask again
remembered-forget-all = Ask again on all of them
remembered-done-one = That device is asked for a code again.
remembered-done-all = Every device is asked for a code again.
sessions-by-mailed-code = code by mail

terms-title = Our terms have changed
terms-lead = Please read them and say whether you agree. It takes a moment, once.
terms-lead-client = Before you go on to { $client }, please read them and say whether you agree.
terms-read = Read the terms
terms-version = Version { $version }
terms-agree-submit = I agree
terms-decline = I don’t agree
terms-decline-client = If you don’t agree, you go back to { $client } without signing in there.
terms-decline-hint = If you don’t agree, you can still download your data or delete your account.
terms-changed-again = The terms have changed once more while this page was open. These are the newest.
terms-declined-title = You have not agreed
terms-declined-text = You can’t sign in to apps without agreeing to the terms. Your account stays as it is, and we ask again the next time you sign in. You can take your data with you, delete the account, or sign out.

proof-title = Confirm your address
proof-text = If this address is free, a code is on its way to it. Enter the code here, in this browser:
proof-submit = Confirm the address
proof-hint = Nothing there after a few minutes? Look into the spam folder. An address that has an account already gets a mail without a code.
proof-again = Use another address, or send another mail

reset-review = Your other ways to sign in are as they were: look at them under Security once you are in.

kept-passkeys = { $n ->
    [one] { $n } passkey
   *[other] { $n } passkeys
}
kept-app = an authenticator app
kept-codes = { $n ->
    [one] { $n } recovery code
   *[other] { $n } recovery codes
}
kept-nothing = none

mail-notice-kept = Other ways to sign in, which stay as they were: { $detail }.

mail-notice-password-reset-subject = Your forgotten password was replaced
mail-notice-password-reset-intro = Somebody who reads this mailbox set a new password for your account at { $site } on { $moment }. The account was signed out everywhere.
mail-notice-password-reset-button = Look at how you sign in
mail-notice-password-reset-note = If it was you, look whether you know each of those ways, and remove what you do not know. If it was not you, somebody else reads your mail: change the password of your mailbox first, then that of this account.

mail-notice-mailed-code-used-subject = Signed in with a code by mail
mail-notice-mailed-code-used-intro = On { $moment }, somebody signed in to your account at { $site } with your password and a code from this mailbox, in place of the authenticator app.
mail-notice-mailed-code-used-button = See your devices
mail-notice-mailed-code-used-note = If it was you, you need not do anything. If it was not, sign that device out, and change your password and that of your mailbox.

mail-second-factor-subject = Your code to sign in
mail-second-factor-intro = Somebody, hopefully you, is signing in to your account at { $site }, knows its password, and asked for this code. Type it in the browser that waits for it:
mail-second-factor-button = Enter the code
mail-second-factor-note = The code works once, for { $minutes ->
    [one] { $minutes } minute
   *[other] { $minutes } minutes
}. If it was not you, tell nobody the code and change your password: somebody knows it. Nobody of ours will ever ask you for the code.

mail-prove-address-subject = Confirm your address
mail-prove-address-intro = Somebody, hopefully you, is opening an account at { $site } with this address. Type this code in the browser that waits for it:
mail-prove-address-button = Enter the code
mail-prove-address-note = The code works once, for { $hours ->
    [one] { $hours } hour
   *[other] { $hours } hours
}. If it was not you, do nothing, and tell nobody the code: no account is made without it.

activity-factor-code-mail-asked = A sign-in code by mail was asked for
activity-factor-mailed-code-used = A sign-in code from the mailbox was used
activity-remembered-device-added = A device is not asked for a code for a while
activity-remembered-device-used = Signed in on a device that is not asked for a code
activity-remembered-device-removed = Devices are asked for a code again
