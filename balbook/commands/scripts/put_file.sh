# put_file PATH MODE: standard input to PATH, written beside and moved. An unchanged file is left alone.
set -eu
umask 077
dir=$(dirname "$1")
[ -d "$dir" ] || mkdir -p -m 0755 "$dir"
part="$1.part.$$"
trap 'rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM
cat > "$part"
chmod "$2" "$part"
mv -f "$part" "$1"
