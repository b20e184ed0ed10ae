# with_token DIRECTORY WITHIN-S COMMAND…: as in_directory, with Central's access token from standard input, never on a command line.
set -u
cd "$1" || exit 1
shift
IFS= read -r BALLERINA_CENTRAL_ACCESS_TOKEN || true
[ -n "$BALLERINA_CENTRAL_ACCESS_TOKEN" ] || { echo "the access token is empty" >&2; exit 2; }
export BALLERINA_CENTRAL_ACCESS_TOKEN
bounded "$@"
