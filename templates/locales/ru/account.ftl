# Страницы собственной учётной записи.

account-nav = Ваша учётная запись
account-nav-overview = Обзор
account-nav-profile = Профиль
account-nav-security = Безопасность
account-nav-sessions = Устройства и сеансы
account-nav-apps = Подключённые приложения
account-nav-activity = События
account-nav-referrals = Приглашения

account-for-profile = Ваше имя, язык и кто может вас найти
account-for-security = Пароль и другие способы входа
account-for-sessions = Где вы вошли и как завершить сеанс
account-for-apps = Что вы разрешили другим приложениям
account-for-activity = Что происходило с учётной записью
account-for-referrals = Ваш код, ссылка и кто пришёл по ней

account-moment = { $day }, { $time } UTC
account-month-short = { $month ->
    [1] янв
    [2] фев
    [3] мар
    [4] апр
    [5] май
    [6] июн
    [7] июл
    [8] авг
    [9] сен
    [10] окт
    [11] ноя
   *[12] дек
}
account-month = { $month ->
    [1] Январь
    [2] Февраль
    [3] Март
    [4] Апрель
    [5] Май
    [6] Июнь
    [7] Июль
    [8] Август
    [9] Сентябрь
    [10] Октябрь
    [11] Ноябрь
   *[12] Декабрь
} { $year }
account-paging = Страницы списка
account-newest = Новые
account-older = Раньше

profile-text = Что здесь написать, решаете вы. Приложения видят это, только если вы разрешите.
profile-done = Профиль сохранён.
profile-change-email = Сменить адрес
profile-verify-again = Отправить письмо для подтверждения ещё раз
profile-mail-sent = Письмо отправлено. Проверьте почту, в том числе папку «Спам».
profile-mail-limited = Мы уже отправили несколько писем. Проверьте почту и папку «Спам» или попробуйте через час.
profile-language = Язык
profile-language-hint = Для наших писем и для приложений, которые о нём спрашивают.
profile-language-any = Как в браузере
profile-discoverable = Кто знает мой адрес почты, может найти мой реферальный код
profile-discoverable-hint = Они узнают код и больше ничего о вас. Без этого нельзя и приглашать по почте.
profile-more = Больше о вас
profile-more-hint = Всё это необязательно.
profile-middle-name = Отчество или второе имя
profile-nickname = Прозвище
profile-username = Желаемое имя пользователя
profile-website = Сайт
profile-page = Страница о вас
profile-picture = Ссылка на ваше изображение
profile-gender = Пол
profile-birthdate = Дата рождения
profile-birthdate-hint = Например, 1990-05-17; без года — 0000-05-17, или только год.
profile-zone = Часовой пояс
profile-zone-hint = Например, Europe/Moscow.
profile-phone = Телефон
profile-phone-hint = С кодом страны, например +79161234567.
profile-address = Почтовый адрес
profile-street = Улица и дом
profile-locality = Город
profile-region = Область или край
profile-postal-code = Индекс
profile-country = Страна
profile-formatted = Адрес целиком
profile-formatted-hint = Как на конверте, для приложений, которые его печатают.
profile-save = Сохранить
profile-fault-url = Введите адрес, который начинается с https://.
profile-fault-birthdate = Введите дату вида 1990-05-17 или год, например 1990.
profile-fault-zone = Введите часовой пояс, например Europe/Moscow.
profile-fault-phone = Введите номер с кодом страны и без пробелов, например +79161234567.
profile-fault-address = Слишком длинно, или есть знаки, которых в адресах не бывает.

sessions-text = Все браузеры, в которых вы вошли. Если какой-то вам незнаком, завершите сеанс и смените пароль.
sessions-this = Этот браузер
sessions-others = Другие браузеры
sessions-none = Больше вы нигде не вошли.
sessions-unknown = Незнакомый нам браузер
sessions-since = Вход
sessions-until = Завершится сам
sessions-by-password = по паролю
sessions-by-code = с одноразовым кодом
sessions-by-passkey = по ключу доступа
sessions-by-two = в два шага
sessions-by-provider = через другой сервис
sessions-by-other = другим способом
sessions-end = Завершить
sessions-end-others = Завершить все остальные
sessions-done-one = В том браузере сеанс завершён.
sessions-done-others = Вы вышли везде, кроме этого браузера.
sessions-hint = Приложения, получившие доступ в сеансе, теряют его вместе с ним, если вы не разрешили его сохранить. Сетевой адрес, с которого вы вошли, мы не храним.

apps-text = Приложения, в которые вы вошли с этой учётной записью, и что им можно.
apps-none = С вашей учётной записью не связано ни одно приложение.
apps-since = С какого дня
apps-used = Последнее обращение
apps-may = Ему можно
apps-revoke = Отозвать доступ
apps-done = У приложения больше нет доступа к вашей учётной записи.
apps-hint = Отзыв доступа не удаляет то, что приложение сохранило у себя. Подключить его снова можно в любое время: оно спросит.

activity-text = Что происходило с учётной записью за последний год. Если это были не вы, завершите другие сеансы и смените пароль.
activity-none = Пока ничего не произошло.
activity-other = Событие вида «{ $kind }»
activity-by-operator = Администратор прекратил доступ к учётной записи
activity-account-changed = Профиль изменён
activity-account-created = Учётная запись создана
activity-account-deleted = Учётная запись удалена
activity-account-handed-over = Учётная запись перешла к владельцу адреса
activity-account-signed-out = Выход везде
activity-app-disconnected = Доступ приложения отозван
activity-authorization-code-reused = Код входа приложения использован дважды, доступ прекращён
activity-client-changed = Изменена регистрация приложения
activity-client-created = Зарегистрировано приложение
activity-client-secret-rotated = Приложение получило новый секрет
activity-client-deleted = Приложение удалено из сервиса
activity-client-sector-changed = Приложение переехало, доступ прекращён
activity-client-tokens-revoked = Доступ приложения прекращён
activity-device-allowed = Устройству разрешён доступ
activity-device-denied = Устройству отказано
activity-email-check-flagged = Проверка усомнилась в вашем адресе почты
activity-email-verified = Адрес почты подтверждён
activity-grant-revoked = Доступ приложения прекращён
activity-initial-access-token-created = Создан токен регистрации
activity-initial-access-token-revoked = Токен регистрации отозван
activity-initial-access-token-used = Токен регистрации использован
activity-invitation-requested = Запрошено приглашение
activity-jwt-bearer-granted = Сервис действовал от вашего имени
activity-lookup-called-back = Служба ответила на запрос о вас
activity-lookup-forgotten = Собранное о вас удалено
activity-outbox-given-up = Что-то не удалось доставить
activity-referral-code-created = Реферальный код создан
activity-referral-code-deleted = Реферальный код удалён
activity-referral-code-rotated = Реферальный код заменён новым
activity-invitation-withdrawn = Приглашение отозвано
activity-refresh-token-reused = Ключ приложения использован дважды, доступ прекращён
activity-session-ended = Сеанс завершён
activity-sessions-ended = Все остальные сеансы завершены
activity-signin-failed = Кто-то пытался войти, но не смог
activity-signin-succeeded = Вход
activity-token-exchanged = Приложение передало доступ сервису
activity-data-exported = Скачаны все данные о вас
activity-deletion-planned = Запрошено удаление аккаунта
activity-deletion-cancelled = Аккаунт сохранён
activity-email-change-asked = Запрошена смена адреса почты
activity-email-change-stopped = Смена адреса почты остановлена
activity-email-changed = Адрес почты изменён
activity-factor-passkey-added = Добавлен ключ доступа
activity-factor-passkey-removed = Удалён ключ доступа
activity-factor-passkey-renamed = Переименован ключ доступа
activity-factor-recovery-code-used = Использован резервный код
activity-factor-recovery-codes-made = Созданы новые резервные коды
activity-factor-totp-added = Включены коды для входа
activity-factor-totp-removed = Выключены коды для входа
activity-password-changed = Пароль изменён
activity-password-reset = Забытый пароль заменён
activity-reauthentication-failed = Для подтверждения введён неверный пароль
activity-signin-new-device = Вход с нового устройства
activity-signin-second-factor-failed = Введён неверный код для входа
activity-terms-agreed = Приняты условия
activity-upstream-linked = Добавлен вход через другой сервис
activity-upstream-unlinked = Удалён вход через другой сервис

referrals-text = Поделитесь кодом. Кто зарегистрируется по нему, появится в списке ниже.
# Between the whole and the cents of an amount.
decimal-mark = ,
referrals-done-made = Новый код уже действует.
referrals-done-deleted = Код удалён и больше нигде не действует.
referrals-active = У вас уже есть действующий код. Удалите его, прежде чем создать другой.
referrals-exhausted = исчерпан
referrals-qr = QR-код ссылки для друзей
referrals-made = Создан
referrals-used = Регистраций по нему
referrals-delete = Удалить этот код
referrals-delete-text = Ссылки и QR-коды с ним сразу и навсегда перестанут работать. Кто пришёл по нему, останется в списке.
referrals-delete-submit = Удалить навсегда
referrals-new = Ваш собственный код
referrals-new-text = У вас может быть один код. Когда он закончится, можно создать следующий.
referrals-expires = Действует до
referrals-expires-hint = До конца этого дня по UTC.
referrals-own = Своё слово вместо кода
referrals-own-hint = От 4 до 32 латинских букв, цифр и дефисов. Оставьте пустым, и мы подберём код сами.
referrals-uses = Не больше регистраций
referrals-uses-hint = Оставьте пустым, если без ограничения.
referrals-more = Своё слово и число регистраций
referrals-create = Создать код
referrals-fault-expires = Выберите день: { $first } — { $last }.
referrals-fault-length = В коде от 4 до 32 знаков.
referrals-fault-alphabet = В коде только латинские буквы, цифры и дефисы; начинается и кончается буквой или цифрой.
referrals-fault-reserved = Это слово занято сервисом. Выберите другое.
referrals-fault-taken = Такой код у кого-то есть или был. Выберите другой.
referrals-fault-uses = Введите число от 1 до { $max } или оставьте пустым.
referrals-list = Кто пришёл по вашим кодам
referrals-none = По вашим кодам пока никто не зарегистрировался. Поделитесь ссылкой, и они появятся здесь.
referrals-nameless = Кто-то без имени
referral-pending = адрес не подтверждён
referral-verified = подтверждён
referral-qualified = засчитан
referral-rewarded = вознаграждён
referral-rejected = отклонён
referral-reversed = отменён

chart-title = Регистрации по месяцам
chart-label = { $n ->
    [one] Столбчатая диаграмма: { $n } регистрация по вашим кодам за двенадцать месяцев
    [few] Столбчатая диаграмма: { $n } регистрации по вашим кодам за двенадцать месяцев
   *[many] Столбчатая диаграмма: { $n } регистраций по вашим кодам за двенадцать месяцев
}
chart-table = Таблицей
chart-month = Месяц
chart-count = Регистраций
