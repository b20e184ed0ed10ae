# switch LINK TARGET: LINK points to TARGET from one moment to the next.
set -eu
[ -d "$2" ] || { echo "$2 does not exist" >&2; exit 1; }
mkdir -p "$(dirname "$1")"
new="$1.new.$$"
ln -s "$2" "$new"
mv -Tf "$new" "$1" 2>/dev/null || mv -fh "$new" "$1"
