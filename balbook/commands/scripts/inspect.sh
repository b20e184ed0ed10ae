# inspect APPLICATION: one line for each release, instance and artifact below it. Changes nothing.
set -u
cd "$1" 2>/dev/null || exit 0
for dir in releases/*/; do
  [ -f "$dir/REVISION" ] || continue
  proven=no
  [ -f "$dir/PROVEN" ] && proven=$(cat "$dir/PROVEN")
  # Not echo: it would read the backslashes of the JSON.
  printf 'release %s %s %s\n' "$(basename "$dir")" "$proven" "$(tr -d '\n' < "$dir/REVISION")"
done
for dir in instances/*/; do
  [ -d "$dir" ] || continue
  current=-
  [ -L "$dir/current" ] && current=$(basename "$(readlink "$dir/current")")
  if lives "$dir"; then since=$(stat -c %Y "$dir/pid" 2>/dev/null || echo -); else release=- pid=- since=-; fi
  echo "instance $(basename "$dir") $current $release $pid $since"
done
for file in artifacts/*; do
  [ -f "$file" ] && echo "artifact $(basename "$file")"
done
exit 0
