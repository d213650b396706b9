# Ways to prove oneself: second factor, passkeys, the page of both.

login-or = or
passkey-sign-in = Sign in with a passkey
passkey-use = Use a passkey
passkey-failed = That did not work. Try again, or go on without a passkey.
passkey-refused = This passkey was not accepted. Try again, or sign in another way.

factor-title = One more step
factor-lead = Your account asks for a code beside your password.
factor-recovery-lead = Use one of the codes you kept for when the app is out of reach. Each works once.
factor-code = Code from your authenticator app
factor-code-hint = Six digits. A new one appears every half minute.
factor-code-wrong = This code is not right, or was used already. Wait for the next one and enter that.
factor-recovery-code = Recovery code
factor-recovery-code-hint = Twelve letters and digits, with or without the dashes.
factor-recovery-code-wrong = This code is not right, or was used already. Try another one.
factor-submit = Continue
factor-lost = No access to the app?
factor-use-recovery = Use a recovery code
factor-use-app = Use the authenticator app
factor-cancel = Cancel
factor-over = Too many wrong codes. Start again.
factor-again = Start again
factor-limited = Too many attempts. Wait a few minutes and try again.

confirm-title = Is it you?
confirm-lead = Before anything important changes, show once more that you are
confirm-for = { $client } asks for one more proof that you are
confirm-password-wrong = This is not the password. Try again.
confirm-other = Sign in another way

security-password-change = Change the password

passkeys-title = Passkeys
passkeys-text = Sign in with your fingerprint, face or screen lock, or with a security key. Nothing to remember, and no false site can ask for it.
passkeys-script = Passkeys need JavaScript, which is switched off in this browser.
passkeys-address = Passkeys do not work at the address under which you reach this service.
passkey-added = Added { $day }.
passkey-last-used = Last used { $day }.
passkey-never-used = Not used yet.
passkey-change = Change
passkey-change-named = Change { $name }
passkey-name = Name
passkey-name-hint = So that you know it again, for example the device it is on.
passkey-name-bad = A name has up to 64 characters and no web or email address in it.
passkey-only-way = This is your only way in. Set a password or add another passkey before you delete it.
passkey-default-name = Passkey
passkey-rename = Rename
passkey-delete = Delete
passkey-add = Add a passkey
passkey-known = This device has a passkey for your account already.
passkey-not-added = No passkey was added. Try again.
passkey-too-many = There are as many passkeys as an account may have. Delete one first.

app-title = Authenticator app
app-on = on
app-text = A code from an app on your phone, beside your password: who learns the password still can't get in.
app-since = In use since { $day }.
app-set-up = Set up
app-remove = Remove the app
app-set-up-title = Set up your authenticator app
app-step-scan = Scan this with the app.
app-step-type = Or type this key into it:
app-step-code = Enter the code that the app shows.
app-turn-on = Turn on
app-too-late = That took too long. Set the app up again.
app-done = The authenticator app is on.

codes-title = Recovery codes
codes-text = They stand in for the app when your phone is lost. Each works once.
codes-left = { $n ->
    [one] { $n } code is left.
   *[other] { $n } codes are left.
}
codes-make = Make new codes
codes-once = Keep these where you find them without your phone, on paper for instance. They are shown this once and replace any you had. Each works once.
codes-kept = I have kept them
