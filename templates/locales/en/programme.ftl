# What administrators did with referrals, on their page of activity.

activity-referral-cleared = A referral was cleared of what spoke against it
activity-referral-flagged = Something speaks against a referral
activity-referral-qualified = A referral was said to qualify
activity-referral-rejected = A referral was rejected
activity-referral-reversed = A referral was reversed
activity-referral-rewarded = A referral was rewarded
activity-referrals-read = Other people's referrals were read
