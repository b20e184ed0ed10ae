# Functions for scripts that look at or start the process of an instance.

# born PID: its start time, which tells a reused PID from ours.
born() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# lives INSTANCE: true where the process that INSTANCE/pid names (`PID START-TIME RELEASE`) still runs; sets pid, start, release.
lives() {
  pid='' start='' release=''
  [ -f "$1/pid" ] && read -r pid start release < "$1/pid"
  [ -n "$start" ] && [ "$(born "$pid")" = "$start" ] && [ "$(sed 's/^.*) //' "/proc/$pid/stat" 2>/dev/null | cut -c 1)" != Z ]
}

# become RELEASE PORT COMMAND…: this process becomes the instance of the release on the port, run by COMMAND (setsid, say).
become() {
  dir=$1 settings=$1/$2
  shift 2
  # Not `export`: a variable of the application's would overwrite one of this script's that has the same name.
  set -- "$@" env
  while IFS= read -r line || [ -n "$line" ]; do
    [ -n "$line" ] && set -- "$@" "$line"
  done < "$settings/environment"
  set -- "$@" "BAL_CONFIG_FILES=$settings/Config.toml" "BALBOOK_RELEASE=$(basename "$dir")"
  [ -f "$dir/app.jar" ] || exec "$@" "$dir/app"
  set -- "$@" java
  while IFS= read -r option || [ -n "$option" ]; do
    [ -n "$option" ] && set -- "$@" "$option"
  done < "$settings/java_options"
  exec "$@" -jar "$dir/app.jar"
}
