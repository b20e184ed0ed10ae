# drill_signal INSTANCE SIGNAL: sends a signal to the process that INSTANCE/pid names, if it is still that process.
set -eu
cd "$1"
read -r pid start release < pid
born=$(sed 's/^.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20)
[ -n "$start" ] && [ "$born" = "$start" ] || { echo "nothing runs here" >&2; exit 1; }
kill "-$2" "$pid"
echo "sent $2 to $pid, which runs $release"
