# What is new about signing up: strong passwords, invitations, terms.

fault-email-lookalike = This address mixes letters of different alphabets that look alike. Type it again in one alphabet.
fault-name-lookalike = Use the letters of one alphabet within a name.
fault-password-breached = This password is on a list of passwords stolen elsewhere, so it is one of the first to be tried. Use another one.
fault-password-weak-common = This is close to a password that many people have. Use a few unrelated words in a row instead.
fault-password-weak-word = A single word or name is easily guessed. Add a few unrelated words.
fault-password-weak-keys = Rows of keys are easily guessed. Use a few unrelated words in a row instead.
fault-password-weak-repeats = Repeating makes a password hardly better. Add a few unrelated words.
fault-password-weak-sequence = Sequences like abc or 6543 are easily guessed. Use a few unrelated words in a row instead.
fault-password-weak-date = Dates and years are easily guessed. Add a few unrelated words.
fault-password-weak-short = This password is easily guessed. Add another word or two; rare words are better.
fault-invitation-needed = You need an invitation: enter the referral code of somebody who is here already.
fault-terms = Agree to the terms to create an account.

strength-weak = Easily guessed. Add a few words.
strength-fair = Fair. Another word makes it better.
strength-good = Looks good.

signup-invitation-hint = Sign-up is by invitation. Whoever invited you has this code.
signup-closed-title = Sign-up is closed
signup-closed-text = No new accounts are made here at the moment. If you have one, sign in.

terms-agree = I agree to the
terms-link = terms of use
