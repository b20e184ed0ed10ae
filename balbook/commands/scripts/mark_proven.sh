# mark_proven RELEASE: records when the release first served healthily (seconds since 1970).
set -eu
[ -f "$1/REVISION" ] || { echo "$1 is not a release" >&2; exit 1; }
[ -f "$1/PROVEN" ] && exit 0
date +%s > "$1/PROVEN.new"
mv -f "$1/PROVEN.new" "$1/PROVEN"
