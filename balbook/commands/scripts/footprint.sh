# footprint INSTANCE: `rss_kb N` of the instance's process, and `ready_s S`, how long its start took. Changes nothing.
set -u
lives "$1" || exit 0
sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB$/rss_kb \1/p' "/proc/$pid/status"
[ -f "$1/ready" ] || exit 0
read -r its born seconds <"$1/ready"
[ "$its $born" = "$pid $start" ] && echo "ready_s $seconds"
exit 0
