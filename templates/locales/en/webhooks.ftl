# What administrators did with webhooks, on their page of activity.

activity-webhook-endpoint-changed = A webhook was changed
activity-webhook-endpoint-created = A webhook was set up
activity-webhook-endpoint-deleted = A webhook was removed
activity-webhook-endpoint-disabled = A webhook was disabled
activity-webhook-endpoint-enabled = A webhook was enabled again
activity-webhook-endpoint-replayed = Messages to a webhook were sent again
activity-webhook-endpoint-secret-rotated = A webhook got a new secret
activity-webhook-endpoint-tested = A test was sent to a webhook
