# What the mails say. In the subject and in all texts, { $name } has been made safe to show.

mail-link-fallback = If the button does not work, open this link:
mail-sign-off = This mail was sent by { $site }.

mail-verify-email-subject = Confirm your email address
mail-verify-email-intro = You signed up at { $site } with this address. Confirm that it is yours, so that nobody else can use it here.
mail-verify-email-button = Confirm this address
mail-verify-email-note = The link works once, for { $hours ->
    [one] { $hours } hour
   *[other] { $hours } hours
}. If you did not sign up, you need not do anything.

mail-confirm-signup-subject = Complete your sign-up
mail-confirm-signup-intro = Somebody, hopefully you, signed up at { $site } with this address. One click, and your account is there.
mail-confirm-signup-button = Complete sign-up
mail-confirm-signup-note = The link works once, for { $hours ->
    [one] { $hours } hour
   *[other] { $hours } hours
}. If it was not you, do nothing: no account is made without this click.

mail-already-registered-subject = You already have an account
mail-already-registered-intro = Somebody, hopefully you, tried to sign up at { $site } with this address. You have an account here already, so nothing was changed. Just sign in.
mail-already-registered-button = Sign in
mail-already-registered-note = If it was not you, you need not do anything: whoever it was learned nothing about your account.

mail-invitation-subject = { $name } invites you to join
mail-invitation-subject-anonymous = You are invited to join
mail-invitation-intro = { $name } would like you to join { $site } and shares a personal referral code with you:
mail-invitation-intro-anonymous = A member of { $site } would like you to join and shares a personal referral code with you:
mail-invitation-button = Accept the invitation
mail-invitation-note = The code works until { $day }. It is filled in when you follow the link.
mail-invitation-why = You get this mail because a member asked us to send it to you. Your address is not kept for anything else.
mail-unsubscribe = Never send me invitations again

mail-day = { $day } { $month ->
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
