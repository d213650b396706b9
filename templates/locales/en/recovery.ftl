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

mail-reset-password-subject = Choose a new password
mail-reset-password-intro = Somebody, hopefully you, forgot the password of the account with this address at { $site }. Follow the link, or type this code where you asked:
mail-reset-password-button = Choose a new password
mail-reset-password-note = Link and code work once, for { $minutes ->
    [one] { $minutes } minute
   *[other] { $minutes } minutes
}. If it was not you, do nothing: nothing changes without them. Nobody of ours will ever ask you for the code.

mail-email-change-old-subject = Your email address is to be changed
mail-email-change-old-intro = Somebody, hopefully you, asked to give your account at { $site } another address than this one. If you want that, confirm it by the link, or type this code on the page where you asked:
mail-email-change-old-button = Confirm or stop it
mail-email-change-old-note = Link and code work for { $hours ->
    [one] { $hours } hour
   *[other] { $hours } hours
}. If it was not you, follow the link and stop it, then change your password: somebody else knows it.

mail-email-change-new-subject = Confirm your new email address
mail-email-change-new-intro = Somebody, hopefully you, asked to give an account at { $site } this address. If it was you, confirm it by the link, or type this code on the page where you asked:
mail-email-change-new-button = Confirm this address
mail-email-change-new-note = Link and code work for { $hours ->
    [one] { $hours } hour
   *[other] { $hours } hours
}. If it was not you, do nothing: nothing changes without them.

forgot-link = Forgot your password?
forgot-title = Forgot your password?
forgot-text = Enter your email address, and we mail you a way to choose a new one.
forgot-submit = Send the mail
forgot-back = Back to sign-in

recovery-code = Code from the mail
recovery-code-hint = Eight letters and digits. Capitals and the dash do not matter.
recovery-code-wrong = This is not the code of the mail. Check it; after a few wrong ones you need a new mail.

reset-title = Choose a new password
reset-text = It will be the password of
reset-hint = You are signed out everywhere, and sign in with the new password.
reset-submit = Set the new password
reset-sent-title = Look into your mailbox
reset-sent-text = If there is an account with this address, a mail is on its way. Follow the link in it, or type its code here with a new password.
reset-sent-hint = Nothing there after a few minutes? Look into the spam folder, or try the other addresses that you use.
reset-again = Ask for another mail
reset-dead-title = This does not work any more
reset-dead-text = It has been used, it is too old, or there were too many wrong codes. Ask for another mail.
reset-done = Your new password is set, and you are signed out everywhere. Sign in with it now.

password-title = Change your password
password-text = All your other devices are signed out, and apps connected there lose their access.
password-current = Current password
password-new = New password
password-wrong = This is not your current password.
password-submit = Change the password
password-done-title = Your password is changed
password-done-text = All other devices are signed out. This one stays signed in.

email-title = Change your email address
email-text = Your address now is
email-new = New email address
email-same = This is your address already.
email-submit = Change the address
email-waiting-text = Confirm the change by the links that we mailed, or type their codes here. Until then your address stays the same.
email-step-done = Confirmed at
email-step-waits = Waits for a confirmation at
email-code-submit = Confirm with the code
email-cancel = Keep the address as it is
email-another = A different address

change-title = Another email address
change-old-text = This account is to get another address:
change-new-text = Is this your address, and do you want it for your account?
change-confirm = Yes, confirm
change-stop = Stop this
change-stop-hint = If you did not ask for this, stop it. If the mail came to the address of your account, change your password too: somebody else knows it.
change-sign-in = To confirm it, sign in to the account first, in this browser, and open the link again. Or type the code of the mail on the page where the change was asked for.
change-waiting-title = One more confirmation
change-waiting-text = Thank you. We also mailed the other address: the change is made once it is confirmed there too.
change-done-title = Your address is changed
change-done-text = From now on, sign in with the new address. All other devices are signed out.
change-stopped-title = Stopped
change-stopped-text = The address of the account stays as it is. If it was not you who asked to change it, change your password.
change-taken-title = This address has an account
change-taken-text = It belongs to another account by now. Nothing was changed.
change-dead-title = There is nothing to confirm
change-dead-text = The change has been made or stopped, it is too old, or there were too many wrong codes.

delete-title = Delete your account
delete-text = Your profile, your sign-ins, your referral codes and all that belongs to you here are deleted. Apps that you signed in to keep what you gave them.
delete-grace = { $n ->
    [one] You have { $n } day to think better of it: sign in, and you can keep the account. After it, nobody can bring it back.
   *[other] You have { $n } days to think better of it: sign in, and you can keep the account. After them, nobody can bring it back.
}
delete-at-once = It is deleted at once. Nobody can bring it back.
delete-referrals = Your referral code stops working now. Those who signed up with it keep their accounts.
delete-confirmation = Your email address
delete-confirmation-hint = To be sure that it is this account, type { $email }.
delete-confirmation-wrong = This is not the address of this account.
delete-submit = Delete my account
delete-back = Back to your account
delete-planned-title = Your account will be deleted
delete-planned-text = It is deleted on { $day }. If you sign in before, you can keep it. We have mailed you this day.
delete-done-title = Your account is deleted
delete-done-text = Nothing of it is left. Thank you for having been here.

keep-title = Keep your account?
keep-text = You had it deleted: it goes on { $day }. Until then it can’t be used, unless you keep it.
keep-submit = Keep my account

data-title = Download your data
data-text = Everything that we hold about you, in one file: your account, sign-ins, connected apps, referrals and what happened when.
data-hint = The file is JSON, which programs read. It holds no passwords and nothing that opens your account.
data-submit = Download
