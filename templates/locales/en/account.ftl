# The pages of a person's own account.

account-nav = Your account
account-nav-overview = Overview
account-nav-profile = Profile
account-nav-security = Security
account-nav-sessions = Devices and sessions
account-nav-apps = Connected apps
account-nav-activity = Activity
account-nav-referrals = Referrals
