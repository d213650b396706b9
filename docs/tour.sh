#!/usr/bin/env bash
# The tour of README.md as a script: every requirement once, with curl, against a running instance (`cargo run`). It stops
# with an error at the first answer that has another status than expected.
#
#   AUTH=http://127.0.0.1:8080 API=http://127.0.0.1:8081 docs/tour.sh
#
# README.md and README.ru.md show what stands between the two marks below, word for word.
set -euo pipefail

# --- the tour begins ---
AUTH=${AUTH:-http://127.0.0.1:8080} API=${API:-http://127.0.0.1:8081}
RUN=$(date +%s)$$ ANN=ann$RUN@example.com BEN=ben$RUN@example.com PASSWORD='correct horse battery staple'
JSON='Content-Type: application/json'

# expect STATUS curl-arguments…: shows the answer, and stops when its status is another one
expect() {
  answer=$(curl -sS -w '\n%{http_code}' "${@:2}"); status=${answer##*$'\n'} answer=${answer%$'\n'*}
  printf '%s %.300s\n' "$status" "$answer"; [ "$status" = "$1" ] || { echo "expected $1" >&2; exit 1; }
}
# pick NAME: a member of the last answer
pick() { python3 -c 'import json, sys; print(json.loads(sys.argv[2])[sys.argv[1]])' "$1" "$answer"; }
# sign_in EMAIL: an access token by the password grant, which is for one's own apps
sign_in() {
  expect 200 "$AUTH/oauth/token" -d grant_type=password -d client_id=demo-cli --data-urlencode "username=$1" \
    --data-urlencode "password=$PASSWORD" -d 'scope=openid email account:read referral-codes:read referral-codes:write referrals:read'
}

# 1. Ann signs up. Her address is hers: a second time it is refused.
expect 201 "$AUTH/api/v1/signup" -H "$JSON" -d "{\"email\": \"$ANN\", \"password\": \"$PASSWORD\", \"given_name\": \"Ann\"}"
ANN_ID=$(pick id)
expect 409 "$AUTH/api/v1/signup" -H "$JSON" -d "{\"email\": \"$ANN\", \"password\": \"$PASSWORD\"}"

# 2. She signs in: a JWT to use, and a refresh token for the next one. A wrong password gives nothing.
sign_in "$ANN"
TOKEN="Authorization: Bearer $(pick access_token)" REFRESH=$(pick refresh_token)
expect 200 "$AUTH/oauth/userinfo" -H "$TOKEN"
expect 200 "$AUTH/api/v1/me" -H "$TOKEN"
expect 200 "$AUTH/oauth/token" -d grant_type=refresh_token -d client_id=demo-cli -d "refresh_token=$REFRESH"
expect 400 "$AUTH/oauth/token" -d grant_type=password -d client_id=demo-cli -d "username=$ANN" -d password=wrong

# 3. She creates her referral code. The expiry is required, and one code at a time is active.
EXPIRES=$(python3 -c 'import datetime as d; print((d.datetime.now(d.timezone.utc) + d.timedelta(30)).strftime("%Y-%m-%dT%H:%M:%SZ"))')
expect 422 "$API/v1/referral-codes" -H "$TOKEN" -H "$JSON" -d '{}'
expect 201 "$API/v1/referral-codes" -H "$TOKEN" -H "$JSON" -d "{\"expires_at\": \"$EXPIRES\"}"
CODE=$(pick code)
expect 409 "$API/v1/referral-codes" -H "$TOKEN" -H "$JSON" -d "{\"expires_at\": \"$EXPIRES\"}"

# 4. Others find the code by her email address, or have it mailed to them: by members who have confirmed their own address.
#    Ann has not (the link is in data/mail). After that this answers 202, and mails the code of a referrer who has, too.
expect 200 -G "$API/v1/referral-codes/lookup" -H "$TOKEN" --data-urlencode "email=$ANN"
expect 403 "$API/v1/invitations" -H "$TOKEN" -H "$JSON" -d "{\"referrer_email\": \"$ANN\", \"email\": \"$BEN\"}"

# 5. Ben signs up with the code and is Ann's referral. A code that does not serve creates nothing.
expect 422 "$AUTH/api/v1/signup" -H "$JSON" -d "{\"email\": \"$BEN\", \"password\": \"$PASSWORD\", \"referral_code\": \"NOSUCHCODE\"}"
expect 201 "$AUTH/api/v1/signup" -H "$JSON" -d "{\"email\": \"$BEN\", \"password\": \"$PASSWORD\", \"referral_code\": \"$CODE\"}"

# 6. Ann sees her referrals by her id. Ben does not.
expect 200 "$API/v1/referrers/$ANN_ID/referrals" -H "$TOKEN"
sign_in "$BEN"
expect 403 "$API/v1/referrers/$ANN_ID/referrals" -H "Authorization: Bearer $(pick access_token)"

# 7. She deletes the code, and it stops working at once.
expect 204 -X DELETE "$API/v1/referral-codes/$CODE" -H "$TOKEN"
expect 404 -G "$API/v1/referral-codes/lookup" -H "$TOKEN" --data-urlencode "email=$ANN"
expect 422 "$AUTH/api/v1/signup" -H "$JSON" -d "{\"email\": \"cy$RUN@example.com\", \"password\": \"$PASSWORD\", \"referral_code\": \"$CODE\"}"

# 8. The documentation: Swagger UI, ReDoc and the OpenAPI document of each service.
for page in docs redoc openapi.json; do
  expect 200 -L -o /dev/null "$AUTH/$page"
  expect 200 -L -o /dev/null "$API/$page"
done
# --- the tour ends ---

echo "The tour went as it should."
