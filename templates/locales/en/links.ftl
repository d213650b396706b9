# Links to referral codes, and what comes of them.

signup-link-dead = The link that led you here no longer works. You can create an account without it, or ask your friend for a new one.

referrals-clicks = Link followed
referrals-visitors = { $n ->
    [one] by { $n } visitor
   *[other] by { $n } visitors
}
referrals-rotate = Replace this code
referrals-rotate-text = You get a new code at once, with the same end and the same number of uses. Links and QR codes with this one stop working for good.
referrals-rotate-submit = Replace the code
referrals-done-rotated = This is your new code. The one before no longer works anywhere.
referral-expired = expired

credits-title = Your credits
credits-text = What you were credited for referrals so far.
