# The pages of a person's own account.

account-nav = Your account
account-nav-overview = Overview
account-nav-profile = Profile
account-nav-security = Security
account-nav-sessions = Devices and sessions
account-nav-apps = Connected apps
account-nav-activity = Activity
account-nav-referrals = Referrals

account-for-profile = Your name, your language, and who may find you
account-for-security = Your password and the other ways of signing in
account-for-sessions = Where you are signed in, and how to end it
account-for-apps = What you allowed other apps
account-for-activity = What happened with your account
account-for-referrals = Your code, your link, and who came by it

account-moment = { $day }, { $time } UTC
account-month-short = { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
}
account-month = { $month ->
    [1] January
    [2] February
    [3] March
    [4] April
    [5] May
    [6] June
    [7] July
    [8] August
    [9] September
    [10] October
    [11] November
   *[12] December
} { $year }
account-paging = Pages of this list
account-newest = Newest
account-older = Older

profile-text = What you write here is yours to decide. Apps see it only if you allow them to.
profile-done = Your profile is saved.
profile-change-email = Change address
profile-verify-again = Send the confirmation mail again
profile-mail-sent = The mail is on its way. Look into your mailbox, and into the spam folder too.
profile-mail-limited = We have sent several mails already. Look into your mailbox and the spam folder, or try again in an hour.
profile-language = Language
profile-language-hint = For the mails we send you, and for apps that ask.
profile-language-any = As the browser says
profile-discoverable = People who know my email address may find my referral code
profile-discoverable-hint = They learn the code and nothing else about you. Inviting people by mail needs this too.
profile-more = More about you
profile-more-hint = All of this is up to you.
profile-middle-name = Middle name
profile-nickname = Nickname
profile-username = Preferred user name
profile-website = Website
profile-page = Page about you
profile-picture = Link to a picture of you
profile-gender = Gender
profile-birthdate = Date of birth
profile-birthdate-hint = Like 1990-05-17; 0000-05-17 without the year, or the year alone.
profile-zone = Time zone
profile-zone-hint = Like Europe/Paris.
profile-phone = Phone
profile-phone-hint = With the country code, like +14155550123.
profile-address = Postal address
profile-street = Street and number
profile-locality = Town
profile-region = State or region
profile-postal-code = Postal code
profile-country = Country
profile-formatted = The whole address
profile-formatted-hint = As it stands on a letter, for apps that print it.
profile-save = Save
profile-fault-url = Enter a web address that begins with https://.
profile-fault-birthdate = Enter a date like 1990-05-17, or a year like 1990.
profile-fault-zone = Enter a time zone like Europe/Paris.
profile-fault-phone = Enter the number with its country code and without spaces, like +14155550123.
profile-fault-address = This is too long, or has characters in it that no address has.

sessions-text = Each browser that you signed in with. If you do not know one of them, end it and change your password.
sessions-this = This browser
sessions-others = Other browsers
sessions-none = You are signed in nowhere else.
sessions-unknown = A browser we do not know
sessions-since = Signed in on
sessions-until = Ends by itself on
sessions-by-password = by password
sessions-by-code = with a one-time code
sessions-by-passkey = by passkey
sessions-by-two = in two steps
sessions-by-provider = through another provider
sessions-by-other = in another way
sessions-end = End
sessions-end-others = End all others
sessions-done-one = That browser is signed out.
sessions-done-others = You are signed out everywhere but here.
sessions-hint = Apps that got access in a session lose it with the session, unless you allowed them to keep it. We do not keep from which network address you signed in.

apps-text = Apps that you signed in to with this account, and what they may do.
apps-none = No app is connected with your account.
apps-since = Since
apps-used = Last used
apps-may = It may
apps-revoke = Remove access
apps-done = The app has no access to your account any more.
apps-hint = Removing access does not delete what an app has kept on its own side. You can connect it again at any time: it will ask.

activity-text = What happened with your account in the last year. If something was not you, end the other sessions and change your password.
activity-none = Nothing has happened yet.
activity-other = Something of the kind “{ $kind }”
activity-by-operator = An administrator ended access to your account
activity-account-changed = Profile changed
activity-account-created = Account created
activity-account-deleted = Account deleted
activity-account-handed-over = The account passed to the owner of the address
activity-account-signed-out = Signed out everywhere
activity-app-disconnected = Access of an app removed
activity-authorization-code-reused = An app’s sign-in code was used twice, so its access was ended
activity-client-changed = An app’s registration was changed
activity-client-created = An app was registered
activity-client-secret-rotated = An app got a new secret
activity-client-deleted = An app was removed from this service
activity-client-sector-changed = An app moved, so its access was ended
activity-client-tokens-revoked = The access of an app was ended
activity-device-allowed = A device was allowed
activity-device-denied = A device was turned away
activity-email-check-flagged = A check had doubts about your email address
activity-email-verified = Email address confirmed
activity-grant-revoked = The access of an app was ended
activity-initial-access-token-created = A registration token was made
activity-initial-access-token-revoked = A registration token was withdrawn
activity-initial-access-token-used = A registration token was used
activity-invitation-requested = An invitation was asked for
activity-jwt-bearer-granted = A service acted in your name
activity-lookup-called-back = A service told what it had been asked about you
activity-lookup-forgotten = What was found out about you was deleted
activity-outbox-given-up = Something could not be delivered
activity-referral-code-created = Referral code created
activity-referral-code-deleted = Referral code deleted
activity-referral-code-rotated = Referral code replaced by a new one
activity-invitation-withdrawn = Invitation withdrawn
activity-refresh-token-reused = An app’s key was used twice, so its access was ended
activity-session-ended = A session was ended
activity-sessions-ended = All other sessions were ended
activity-signin-failed = Somebody tried to sign in and failed
activity-signin-succeeded = Signed in
activity-token-exchanged = An app passed its access on to a service
activity-data-exported = All data about you was downloaded
activity-deletion-planned = Deletion of the account was asked for
activity-deletion-cancelled = The account is kept
activity-email-change-asked = Another email address was asked for
activity-email-change-stopped = The change of the email address was stopped
activity-email-changed = Email address changed
activity-factor-passkey-added = Passkey added
activity-factor-passkey-removed = Passkey removed
activity-factor-passkey-renamed = Passkey renamed
activity-factor-recovery-code-used = A recovery code was used
activity-factor-recovery-codes-made = New recovery codes made
activity-factor-totp-added = Sign-in codes turned on
activity-factor-totp-removed = Sign-in codes turned off
activity-password-changed = Password changed
activity-password-reset = Forgotten password replaced
activity-reauthentication-failed = A wrong password was typed to confirm a change
activity-signin-new-device = Signed in on a new device
activity-signin-second-factor-failed = A wrong sign-in code was typed
activity-terms-agreed = Terms agreed to
activity-upstream-linked = Sign-in with another provider added
activity-upstream-unlinked = Sign-in with another provider removed

referrals-text = Share your code. Whoever signs up with it stands in the list below.
# Between the whole and the cents of an amount.
decimal-mark = .
referrals-done-made = Your new code works from now on.
referrals-done-deleted = The code is deleted. It no longer works anywhere.
referrals-active = You have an active code already. Delete it before you make another.
referrals-exhausted = used up
referrals-qr = QR code of the link to share
referrals-made = Created
referrals-used = Sign-ups with it
referrals-delete = Delete this code
referrals-delete-text = Links and QR codes with it stop working at once, for good. Who came by it stays in your list.
referrals-delete-submit = Delete for good
referrals-new = A code of your own
referrals-new-text = You have one code at a time. When it ends, you can make the next.
referrals-expires = Works until
referrals-expires-hint = The end of that day, UTC.
referrals-own = Wording of your own
referrals-own-hint = 4 to 32 letters A to Z, digits and hyphens. Leave it empty, and we draw one.
referrals-uses = Sign-ups at most
referrals-uses-hint = Leave it empty for any number.
referrals-more = Wording and number of uses
referrals-create = Create code
referrals-fault-expires = Choose a day from { $first } to { $last }.
referrals-fault-length = A code has 4 to 32 characters.
referrals-fault-alphabet = A code has letters A to Z, digits and hyphens, and begins and ends with a letter or digit.
referrals-fault-reserved = This word is reserved. Choose another.
referrals-fault-taken = Somebody has or had this code. Choose another.
referrals-fault-uses = Enter a number from 1 to { $max }, or leave it empty.
referrals-list = Who came by your codes
referrals-none = Nobody has signed up with your codes yet. Share the link, and they will stand here.
referrals-nameless = Somebody without a name
referral-pending = address not confirmed
referral-verified = confirmed
referral-qualified = qualified
referral-rewarded = rewarded
referral-rejected = rejected
referral-reversed = reversed

chart-title = Sign-ups by month
chart-label = { $n ->
    [one] A bar chart: { $n } sign-up with your codes in the last twelve months
   *[other] A bar chart: { $n } sign-ups with your codes in the last twelve months
}
chart-table = As a table
chart-month = Month
chart-count = Sign-ups
