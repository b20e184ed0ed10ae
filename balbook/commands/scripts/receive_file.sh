# receive_file PATH SHA256 MODE: standard input to PATH, moved into place only when its sha256 is right.
set -eu
umask 077
dir=$(dirname "$1")
[ -d "$dir" ] || mkdir -p -m 0755 "$dir"
# Remove drafts of uploads whose connection was lost: their receivers still wait for the rest.
for old in "$1".part.*; do
  [ -n "$(find "$old" -mmin +1 2>/dev/null)" ] || continue
  case $(tr '\0' ' ' < "/proc/${old##*.}/cmdline" 2>/dev/null || true) in
  *receive-file*) kill "${old##*.}" 2>/dev/null || true ;;
  esac
  rm -f "$old"
done
part="$1.part.$$"
trap 'rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM
cat > "$part"
found=$(sha256 "$part")
if [ "$found" != "$2" ]; then
  echo "sha256 is $found, expected $2" >&2
  exit 65
fi
chmod "$3" "$part"
mv -f "$part" "$1"
