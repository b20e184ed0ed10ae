# footprint INSTANCE: `rss_kb N` of the instance's process, and `ready_s S`, how long its start took. Changes nothing.
set -u
cd "$1" 2>/dev/null || exit 0
[ -f pid ] || exit 0
read -r pid start release <pid
[ "$(sed 's/^.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20)" = "$start" ] || exit 0
sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB$/rss_kb \1/p' "/proc/$pid/status"
[ -f ready ] || exit 0
read -r its born seconds <ready
[ "$its $born" = "$pid $start" ] && echo "ready_s $seconds"
exit 0
