# mark_proven mark|check RELEASE: records when the release last became the proven one (seconds since 1970), later than any
# other release beside it, also where the clock was set back. `check` exits 1 where it is not the latest; it changes nothing.
set -eu
[ -f "$2/REVISION" ] || { echo "$2 is not a release" >&2; exit 1; }
own=$(cat "$2/PROVEN" 2>/dev/null || echo 0)
latest=0
for file in "$2"/../*/PROVEN; do
  [ -f "$file" ] || continue
  [ "$(basename "$(dirname "$file")")" = "$(basename "$2")" ] && continue
  at=$(cat "$file")
  [ "$at" -gt "$latest" ] && latest=$at
done
[ "$own" -gt "$latest" ] && exit 0
[ "$1" = mark ] || { echo "another release was proven later" >&2; exit 1; }
now=$(date +%s)
[ "$now" -gt "$latest" ] || now=$((latest + 1))
echo "$now" > "$2/PROVEN.new"
mv -f "$2/PROVEN.new" "$2/PROVEN"
