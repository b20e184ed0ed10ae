# is_there PATH SHA256: exit 0 where the file has that content.
set -eu
[ -f "$1" ] || exit 1
[ "$(sha256 "$1")" = "$2" ]
