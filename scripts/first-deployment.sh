#!/usr/bin/env bash
# The steps of docs/first-deployment.md that a machine can do: scripts/first-deployment.sh NAME REGION.
# Step 3, azd up, must have been done in a terminal: it prints the token, which TOKEN must hold for step 6. The script asks for
# neither. It writes first-deployment.txt, without any secret. Exit code 0 if every step came out as it must.
set -uo pipefail
cd "$(dirname "$0")/.."
[ $# = 2 ] || { echo "usage: [TOKEN=...] $0 NAME REGION" >&2; exit 2; }
name=$1 region=$2 report=first-deployment.txt wrong=0 body=$(mktemp)
trap 'rm -f "$body"' EXIT
: >"$report"

say() { echo "$*" | tee -a "$report"; }
# step NUMBER WHAT WANTED FOUND: FOUND must match the extended expression WANTED.
step() {
    if [[ $4 =~ ^($3)$ ]]; then say "step $1: $2: $4: ok"; else say "step $1: $2: $4: WRONG, must be $3"; wrong=1; fi
}
# The status of a request; its body goes to $body.
ask() { curl -sS -o "$body" -w '%{http_code}' "$@" 2>>"$report"; }

say "first deployment of $(git rev-parse --short HEAD 2>/dev/null || echo an archive), $(date -u +%FT%TZ)"
version=$(azd version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -1)
newest=$(printf '%s\n1.25.4\n' "${version:-0}" | sort -V | tail -1)
step 1 "azd ${version:-is missing}, at least 1.25.4" "${version:-none}" "$newest"
az bicep build -f infra/main.bicep --stdout >/dev/null 2>>"$report"
step 1 "the compiler's exit code" 0 $?

if ! azd env list 2>/dev/null | grep -qw "$name"; then
    azd env new "$name" --location "$region" --no-prompt >>"$report" 2>&1
    azd provision --preview -e "$name" --no-prompt >>"$report" 2>&1
    step 2 "the preview's exit code" 0 $?
    say "step 3: run now, in a terminal: azd up -e $name; then this again with TOKEN set to the token that it prints"
    exit $wrong
fi

value() { azd env get-value "$1" -e "$name" 2>/dev/null; }
app=$(value AZURE_FUNCTION_APP_NAME) group=$(value AZURE_RESOURCE_GROUP) url=$(value SCIM_TENANT_URL)
step 3 "the tenant URL" 'https?://.+/scim' "${url:-none: azd up has not been done}"
[ -n "$url" ] || exit 1
step 4 "functions" 7 "$(az functionapp function list -g "$group" -n "$app" --query 'length(@)' -o tsv 2>>"$report")"

health=${url%/scim}/health
for turn in cold warm; do
    found=$(curl -sS -D "$body" -o /dev/null -w '%{http_code} %{time_total}' "$health" 2>>"$report")
    step 5 "/health, $turn, and seconds" '200 .*' "$found"
done
step 5 "Strict-Transport-Security" 1 "$(grep -ci '^strict-transport-security:' "$body")"

if [ -n "${TOKEN:-}" ]; then
    # The token goes by standard input, so that no list of processes shows it.
    scim() { printf 'header = "Authorization: Bearer %s"\n' "$TOKEN" | ask -K - -H 'Content-Type: application/scim+json' "$@"; }
    find_id() { grep -o '"id":"[^"]*"' "$body" | head -1 | cut -d'"' -f4; }
    step 6 "a user is made" 201 "$(scim "$url/Users" -d '{"userName": "first@deployment.example", "active": true}')"
    user=$(find_id)
    step 6 "its location begins with the tenant URL" 1 "$(grep -c "\"location\":\"$url/" "$body")"
    step 6 "a group is made" 201 "$(scim "$url/Groups" -d '{"displayName": "First deployment"}')"
    team=$(find_id)
    member="{\"Operations\": [{\"op\": \"Add\", \"path\": \"members\", \"value\": [{\"value\": \"$user\"}]}]}"
    step 6 "its member is added" 204 "$(scim -X PATCH "$url/Groups/$team" -d "$member")"
    step 6 "the group is removed" 204 "$(scim -X DELETE "$url/Groups/$team")"
    step 6 "the user is removed" 204 "$(scim -X DELETE "$url/Users/$user")"
else
    say "step 6: left out: TOKEN is not set"
    wrong=1
fi
step 7 "without a token" 401 "$(ask "$url/Users")"
step 7 "an unknown method" 404 "$(ask -X FOO "$url/Users")"
say "by hand: steps 8 to 13 of docs/first-deployment.md"
if [ $wrong = 0 ]; then say "every step came out as it must"; else say "something differs: see docs/first-deployment.md"; fi
exit $wrong
