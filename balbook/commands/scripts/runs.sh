# runs INSTANCE RELEASE: exit 0 where the instance's process runs that release; `-`: where nothing runs. Changes nothing.
set -u
running=-
if [ -f "$1/pid" ]; then
  read -r pid start release < "$1/pid"
  born=$(sed 's/^.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20)
  [ -n "$start" ] && [ "$born" = "$start" ] && running=$release
fi
[ "$running" = "$2" ] || { echo "runs $running"; exit 1; }
