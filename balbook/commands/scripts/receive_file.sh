# receive_file PATH SHA256 MODE: standard input to PATH, moved into place only when its sha256 is right.
set -eu
umask 077
dir=$(dirname "$1")
[ -d "$dir" ] || mkdir -p -m 0755 "$dir"
part="$1.part.$$"
trap 'rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM
cat > "$part"
found=$(sha256sum < "$part")
found=${found%% *}
if [ "$found" != "$2" ]; then
  echo "sha256 is $found, expected $2" >&2
  exit 65
fi
chmod "$3" "$part"
mv -f "$part" "$1"
