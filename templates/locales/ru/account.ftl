# Страницы собственной учётной записи.

account-nav = Ваш аккаунт
account-nav-overview = Обзор
account-nav-profile = Профиль
account-nav-security = Безопасность
account-nav-sessions = Устройства и сеансы
account-nav-apps = Подключённые приложения
account-nav-activity = События
account-nav-referrals = Приглашения
