# launch run PORT: becomes the process of the instance, from the release that it points to.
# launch started PORT PID: notes PID, its start time (it tells a reused PID from ours) and the release; run as root.
# Written by balbook; changes made by hand are overwritten.
set -eu
instance="$(dirname "$0")/instances/$2"
release_dir=$(cd "$instance/current" && pwd -P)
[ "$1" = started ] || become "$release_dir" "$2"
born=$(born "$3")
umask 022
echo "$3 ${born:-0} $(basename "$release_dir")" > "$instance/pid.new"
mv -f "$instance/pid.new" "$instance/pid"
