# download URL PATH SHA256 WITHIN-S: the file behind URL to PATH, moved there only when its sha256 is right.
set -eu
umask 077
mkdir -p "$(dirname "$2")"
part="$2.part.$$"
trap 'rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM
curl -fsSL --retry 2 --max-time "$4" -o "$part" "$1"
found=$(sha256sum < "$part")
found=${found%% *}
[ "$found" = "$3" ] || { echo "sha256 of $1 is $found, expected $3; the file was removed" >&2; exit 65; }
mv -f "$part" "$2"
