# drill_signal INSTANCE SIGNAL: sends a signal to the process that INSTANCE/pid names, if it is still that process.
set -eu
lives "$1" || { echo "no process of this instance runs" >&2; exit 1; }
kill "-$2" "$pid"
echo "sent $2 to $pid, which runs $release"
