# Восстановление и изменение аккаунта: страницы и письма.

mail-moment = { $day }, { $time } UTC
mail-notice-detail = (Название: «{ $detail }».)

mail-notice-new-device-subject = Вход с нового устройства
mail-notice-new-device-intro = В ваш аккаунт на { $site } вошли с устройства, которого мы раньше не видели: { $moment }.
mail-notice-new-device-button = Посмотреть устройства
mail-notice-new-device-note = Если это были вы, ничего делать не нужно. Если нет, завершите сеанс этого устройства и смените пароль.

mail-notice-password-changed-subject = Ваш пароль изменён
mail-notice-password-changed-intro = Пароль вашего аккаунта на { $site } изменён: { $moment }. На других устройствах выполнен выход.
mail-notice-password-changed-button = Это был не я
mail-notice-password-changed-note = Если это были вы, ничего делать не нужно. Если нет, задайте новый пароль прямо сейчас: по кнопке нужно начать с адреса почты.

mail-notice-email-changed-subject = Адрес почты изменён
mail-notice-email-changed-intro = У вашего аккаунта на { $site } теперь другой адрес почты: { $moment }. На других устройствах выполнен выход.
mail-notice-email-changed-button = Открыть аккаунт
mail-notice-email-changed-note = Если это были вы, ничего делать не нужно. Если нет, сразу обратитесь к администраторам { $site }: кто-то получил доступ к вашему аккаунту.

mail-notice-address-wanted-subject = У вас уже есть аккаунт с этим адресом
mail-notice-address-wanted-intro = Кто-то, надеемся, вы, пытался указать этот адрес в другом аккаунте на { $site }. Он уже принадлежит вашему аккаунту, поэтому ничего не изменилось.
mail-notice-address-wanted-button = Открыть аккаунт
mail-notice-address-wanted-note = Если это были не вы, ничего делать не нужно: о вашем аккаунте никто ничего не узнал.

mail-notice-passkey-added-subject = Добавлен ключ доступа
mail-notice-passkey-added-intro = В ваш аккаунт на { $site } теперь можно войти с новым ключом доступа: { $moment }.
mail-notice-passkey-added-button = Посмотреть ключи
mail-notice-passkey-added-note = Если это были не вы, удалите его и смените пароль.

mail-notice-passkey-removed-subject = Удалён ключ доступа
mail-notice-passkey-removed-intro = Из вашего аккаунта на { $site } удалён ключ доступа: { $moment }. С ним больше нельзя войти.
mail-notice-passkey-removed-button = Посмотреть ключи
mail-notice-passkey-removed-note = Если это были не вы, смените пароль и проверьте, кто вошёл в аккаунт.

mail-notice-totp-added-subject = Включены коды для входа
mail-notice-totp-added-intro = Теперь для входа в ваш аккаунт на { $site } нужен код из приложения-аутентификатора: { $moment }.
mail-notice-totp-added-button = Посмотреть способы входа
mail-notice-totp-added-note = Если это были не вы, смените пароль и отключите коды.

mail-notice-totp-removed-subject = Коды для входа отключены
mail-notice-totp-removed-intro = Для входа в ваш аккаунт на { $site } больше не нужен код из приложения-аутентификатора: { $moment }.
mail-notice-totp-removed-button = Посмотреть способы входа
mail-notice-totp-removed-note = Если это были не вы, смените пароль и снова включите коды.

mail-notice-recovery-codes-made-subject = У вас новые коды восстановления
mail-notice-recovery-codes-made-intro = Для вашего аккаунта на { $site } созданы новые коды восстановления: { $moment }. Прежние больше не работают.
mail-notice-recovery-codes-made-button = Посмотреть способы входа
mail-notice-recovery-codes-made-note = Если это были не вы, смените пароль и создайте новые коды.

mail-notice-deletion-planned-subject = Ваш аккаунт будет удалён
mail-notice-deletion-planned-intro = Ваш аккаунт на { $site } и всё, что с ним связано, будет удалён { $day }. До этого дня на всех устройствах выполнен выход.
mail-notice-deletion-planned-button = Сохранить аккаунт
mail-notice-deletion-planned-note = Передумали, или это были не вы? Войдите до этого дня, и мы спросим, сохранить ли аккаунт. После этого его никто не сможет вернуть.

mail-notice-account-kept-subject = Ваш аккаунт сохранён
mail-notice-account-kept-intro = Ваш аккаунт на { $site } не будет удалён: его решили сохранить, { $moment }.
mail-notice-account-kept-button = Открыть аккаунт
mail-notice-account-kept-note = Если это были не вы, смените пароль.

mail-notice-account-deleted-subject = Ваш аккаунт удалён
mail-notice-account-deleted-intro = Ваш аккаунт на { $site } и всё, что с ним было связано, удалён: { $moment }.
mail-notice-account-deleted-button = Перейти на { $site }
mail-notice-account-deleted-note = Вернуть его невозможно. Вы всегда можете создать новый.
