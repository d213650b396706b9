# Recovery and change of an account: its pages and its mails.

mail-moment = { $day }, { $time } UTC
mail-notice-detail = (It is called “{ $detail }”.)

mail-notice-new-device-subject = A new device signed in
mail-notice-new-device-intro = Your account at { $site } was signed in to from a device that we had not seen before, on { $moment }.
mail-notice-new-device-button = See your devices
mail-notice-new-device-note = If it was you, you need not do anything. If it was not, sign that device out and change your password.

mail-notice-password-changed-subject = Your password was changed
mail-notice-password-changed-intro = The password of your account at { $site } was changed on { $moment }. Other devices have been signed out.
mail-notice-password-changed-button = It was not me
mail-notice-password-changed-note = If it was you, you need not do anything. If it was not, choose a new password now: the button begins with your email address.

mail-notice-email-changed-subject = Your email address was changed
mail-notice-email-changed-intro = Your account at { $site } has another email address since { $moment }. Other devices have been signed out.
mail-notice-email-changed-button = See your account
mail-notice-email-changed-note = If it was you, you need not do anything. If it was not, answer to those who run { $site } at once: somebody else has got into your account.

mail-notice-address-wanted-subject = You have an account with this address
mail-notice-address-wanted-intro = Somebody, hopefully you, tried to give another account at { $site } this address. It belongs to your account already, so nothing was changed.
mail-notice-address-wanted-button = See your account
mail-notice-address-wanted-note = If it was not you, you need not do anything: whoever it was learned nothing about your account.

mail-notice-passkey-added-subject = A passkey was added
mail-notice-passkey-added-intro = Since { $moment }, your account at { $site } can be signed in to with a new passkey.
mail-notice-passkey-added-button = See your passkeys
mail-notice-passkey-added-note = If it was not you, remove it and change your password.

mail-notice-passkey-removed-subject = A passkey was removed
mail-notice-passkey-removed-intro = A passkey was removed from your account at { $site } on { $moment }. It does not sign in any more.
mail-notice-passkey-removed-button = See your passkeys
mail-notice-passkey-removed-note = If it was not you, change your password and see who is signed in.

mail-notice-totp-added-subject = Sign-in codes were turned on
mail-notice-totp-added-intro = Since { $moment }, signing in to your account at { $site } wants a code of your authenticator app.
mail-notice-totp-added-button = See how you sign in
mail-notice-totp-added-note = If it was not you, change your password and turn the codes off.

mail-notice-totp-removed-subject = Sign-in codes were turned off
mail-notice-totp-removed-intro = Since { $moment }, signing in to your account at { $site } wants no code of an authenticator app any more.
mail-notice-totp-removed-button = See how you sign in
mail-notice-totp-removed-note = If it was not you, change your password and turn the codes on again.

mail-notice-recovery-codes-made-subject = You have new recovery codes
mail-notice-recovery-codes-made-intro = New recovery codes were made for your account at { $site } on { $moment }. Those from before do not work any more.
mail-notice-recovery-codes-made-button = See how you sign in
mail-notice-recovery-codes-made-note = If it was not you, change your password and make new ones.

mail-notice-deletion-planned-subject = Your account will be deleted
mail-notice-deletion-planned-intro = Your account at { $site } and all that belongs to it will be deleted on { $day }. Until then it is signed out everywhere.
mail-notice-deletion-planned-button = Keep my account
mail-notice-deletion-planned-note = Have you changed your mind, or was it not you? Sign in before that day, and you are asked whether to keep it. After it, nobody can bring it back.

mail-notice-account-kept-subject = Your account is kept
mail-notice-account-kept-intro = Your account at { $site } is not going to be deleted: somebody signed in and kept it on { $moment }.
mail-notice-account-kept-button = See your account
mail-notice-account-kept-note = If it was not you, change your password.

mail-notice-account-deleted-subject = Your account was deleted
mail-notice-account-deleted-intro = Your account at { $site } and all that belonged to it was deleted on { $moment }.
mail-notice-account-deleted-button = Go to { $site }
mail-notice-account-deleted-note = Nobody can bring it back. You are welcome to open a new one at any time.
