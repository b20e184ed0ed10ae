# launch run PORT: becomes the process of the instance, from the release that it points to.
# launch started PORT PID: notes PID, its start time (it tells a reused PID from ours) and the release; run as root.
# Written by balbook; changes made by hand are overwritten.
set -eu
instance="$(dirname "$0")/instances/$2"
release_dir=$(cd "$instance/current" && pwd -P)
case $1 in
started)
  born=$(sed 's/^.*) //' "/proc/$3/stat" 2>/dev/null | cut -d' ' -f20)
  umask 022
  echo "$3 ${born:-0} $(basename "$release_dir")" > "$instance/pid.new"
  mv -f "$instance/pid.new" "$instance/pid"
  exit 0 ;;
esac
settings="$release_dir/$2"
# Not `export`: a variable of the application's would overwrite one of this script's that has the same name.
set -- env
while IFS= read -r line || [ -n "$line" ]; do
  [ -n "$line" ] && set -- "$@" "$line"
done < "$settings/environment"
set -- "$@" "BAL_CONFIG_FILES=$settings/Config.toml" "BALBOOK_RELEASE=$(basename "$release_dir")"
if [ -f "$release_dir/app.jar" ]; then
  set -- "$@" java
  while IFS= read -r option || [ -n "$option" ]; do
    [ -n "$option" ] && set -- "$@" "$option"
  done < "$settings/java_options"
  set -- "$@" -jar "$release_dir/app.jar"
else
  set -- "$@" "$release_dir/app"
fi
exec "$@"
