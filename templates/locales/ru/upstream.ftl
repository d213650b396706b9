# Другие способы войти: ожидание после ошибок, выбор аккаунта, другие провайдеры.

login-wait-seconds = { $n ->
    [one] Слишком много попыток. Попробуйте снова через { $n } секунду.
    [few] Слишком много попыток. Попробуйте снова через { $n } секунды.
   *[other] Слишком много попыток. Попробуйте снова через { $n } секунд.
}
login-wait-minutes = { $n ->
    [one] Слишком много попыток. Попробуйте снова через { $n } минуту.
    [few] Слишком много попыток. Попробуйте снова через { $n } минуты.
   *[other] Слишком много попыток. Попробуйте снова через { $n } минут.
}

choose-title = Выберите аккаунт
choose-link = Выбрать аккаунт, с которым вы здесь входили
choose-current = Вход выполнен
choose-signed-out = Вход не выполнен
choose-forget = Забыть { $name } в этом браузере
choose-other = Другой аккаунт
choose-hint = Эти аккаунты помнит только этот браузер. Чтобы убрать тот, в который вы вошли, сначала выйдите.

ways-or = или
ways-continue = Продолжить с { $provider }

upstream-back = Назад ко входу
upstream-back-account = Назад в аккаунт
upstream-down-title = { $provider } не отвечает
upstream-down-text = Сейчас не удалось связаться с { $provider }. Попробуйте ещё раз чуть позже или войдите другим способом.
upstream-declined-title = Вход не выполнен
upstream-declined-text = Вход через { $provider } отменён. Здесь ничего не изменилось.
upstream-refused-title = Войти через { $provider } не получилось
upstream-refused-text = Ответу { $provider } нельзя доверять. Попробуйте ещё раз или войдите другим способом.
upstream-gone-title = Этот вход уже завершён
upstream-gone-text = Он уже использован, занял слишком много времени или начат в другом браузере. Начните заново.
upstream-taken-title = Этот аккаунт занят
upstream-taken-text = Через этот аккаунт { $provider } уже кто-то входит. Сначала отключите его там или возьмите другой.

upstream-new-text = Вы здесь впервые. { $provider } сообщает нам, кто вы; проверьте, и аккаунт готов. Пароль не нужен.
upstream-link-title = Подключить { $provider }
upstream-prove-text = Аккаунт с этим адресом уже есть. Если он ваш, войдите в него один раз как обычно. Потом можно будет входить и через { $provider }.
upstream-prove-link = Войти и подключить
upstream-prove-hint = Мы спрашиваем, потому что один только адрес не доказывает, что аккаунт ваш.
upstream-confirm-text = Вы вошли в этот аккаунт. Входить в него теперь и через { $provider }?
upstream-confirm-submit = Подключить и продолжить

upstream-account-title = Вход через других провайдеров
upstream-account-text = Подключите аккаунт, который есть у вас в другом месте, и входите с ним сюда.
upstream-account-none = Другие провайдеры здесь не настроены.
upstream-linked-on = подключён { $day }
upstream-add = Подключить
upstream-remove = Отключить
upstream-only-way = Это ваш единственный способ входа. Прежде чем отключить его, добавьте другой.

mail-notice-provider-linked-subject = Добавлен ещё один способ входа
mail-notice-provider-linked-intro = В ваш аккаунт на { $site } теперь можно войти и через другой сервис: { $moment }.
mail-notice-provider-linked-button = Посмотреть способы входа
mail-notice-provider-linked-note = Если это были не вы, отвяжите его и смените пароль.

mail-notice-provider-unlinked-subject = Удалён один из способов входа
mail-notice-provider-unlinked-intro = Через другой сервис больше нельзя войти в ваш аккаунт на { $site }: { $moment }.
mail-notice-provider-unlinked-button = Посмотреть способы входа
mail-notice-provider-unlinked-note = Если это были не вы, смените пароль и проверьте, кто вошёл.

security-upstream = Посмотреть сервисы
