# Что администраторы делали с вебхуками, на их странице событий.

activity-webhook-endpoint-changed = Вебхук изменён
activity-webhook-endpoint-created = Вебхук настроен
activity-webhook-endpoint-deleted = Вебхук удалён
activity-webhook-endpoint-disabled = Вебхук отключён
activity-webhook-endpoint-enabled = Вебхук снова включён
activity-webhook-endpoint-replayed = Сообщения вебхуку отправлены повторно
activity-webhook-endpoint-secret-rotated = Вебхук получил новый секрет
activity-webhook-endpoint-tested = Вебхуку отправлена проверка
