# with_token DIRECTORY WITHIN-S COMMAND…: the same with Central's access token from standard input, never on a command line.
set -eu
cd "$1"
within=$2
shift 2
IFS= read -r BALLERINA_CENTRAL_ACCESS_TOKEN || true
[ -n "$BALLERINA_CENTRAL_ACCESS_TOKEN" ] || { echo "the access token is empty" >&2; exit 2; }
export BALLERINA_CENTRAL_ACCESS_TOKEN
exec timeout -k 10 "$within" "$@" < /dev/null
