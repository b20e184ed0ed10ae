# prune check|remove APPLICATION KEEP PROTECTED…: the oldest releases beyond KEEP, never one that an instance points to nor
# a protected one; then artifacts that no release links to. `check` exits 1 where something would go.
set -eu
action=$1 application=$2 keep=$3
shift 3
cd "$application/releases" 2>/dev/null || exit 0
protected=" $* "
for link in ../instances/*/current; do
  [ -L "$link" ] && protected="$protected$(basename "$(readlink "$link")") "
done
remove() {
  [ "$action" = remove ] || { echo "would remove $1"; exit 1; }
  rm -rf "$1"
  echo "removed $1"
}
count=0
for release in $(ls -1t); do
  case "$release" in *.draft) continue ;; esac
  count=$((count + 1))
  case "$protected" in *" $release "*) continue ;; esac
  [ "$count" -le "$keep" ] || remove "./$release"
done
for artifact in ../artifacts/*; do
  [ -f "$artifact" ] && [ "$(stat -c %h "$artifact")" = 1 ] && remove "$artifact"
done
exit 0
