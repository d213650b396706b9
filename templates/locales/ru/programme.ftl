# Что администраторы делали с рефералами, на их странице событий.

activity-referral-cleared = С реферала сняты подозрения
activity-referral-flagged = Реферал вызывает подозрения
activity-referral-qualified = Реферал признан выполнившим условия
activity-referral-rejected = Реферал отклонён
activity-referral-reversed = Награда за реферала отозвана
activity-referral-rewarded = За реферала начислена награда
activity-referrals-read = Просмотрены чужие рефералы
