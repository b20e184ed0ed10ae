# is_there PATH SHA256: exit 0 where the file has that content.
set -eu
[ -f "$1" ] || exit 1
set -- "$2" "$(sha256sum < "$1")"
[ "$1" = "${2%% *}" ]
