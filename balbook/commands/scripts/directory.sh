# directory MODE PATH…: makes directories; existing ones get the mode.
set -eu
mode=$1
shift
for path in "$@"; do
  mkdir -p "$path"
  chmod "$mode" "$path"
done
