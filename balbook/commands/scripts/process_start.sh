# process_start INSTANCE PORT NOFILE: starts the release that INSTANCE/current points to, if nothing runs there.
# INSTANCE/pid holds `PID START-TIME RELEASE`: the start time tells a reused PID from ours.
set -eu
cd "$1"
born() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
if [ -f pid ]; then
  read -r pid start release < pid || true
  if [ -n "$start" ] && [ "$(born "$pid")" = "$start" ]; then
    echo "already runs as $pid"
    exit 0
  fi
fi
release=$(basename "$(readlink current)")
release_dir=$(cd current && pwd -P)
settings="$release_dir/$2"
ulimit -n "$3" 2>/dev/null || ulimit -n "$(ulimit -Hn)"
# Not `export`: a variable of the application's would overwrite one of this script's that has the same name.
set -- env
while IFS= read -r line || [ -n "$line" ]; do
  [ -n "$line" ] && set -- "$@" "$line"
done < "$settings/environment"
set -- "$@" "BAL_CONFIG_FILES=$settings/Config.toml" "BALBOOK_RELEASE=$release"
if [ -f "$release_dir/app.jar" ]; then
  set -- "$@" java
  while IFS= read -r option || [ -n "$option" ]; do
    [ -n "$option" ] && set -- "$@" "$option"
  done < "$settings/java_options"
  set -- "$@" -jar "$release_dir/app.jar"
else
  set -- "$@" "$release_dir/app"
fi
mkdir -p log
# What is logged from here on is this process's.
{ wc -c < log/current.log; } > log/began 2>/dev/null || echo 0 > log/began
# Privilege is for the files; the instance itself is the login's.
[ -z "${SUDO_UID:-}" ] || set -- setpriv "--reuid=$SUDO_UID" "--regid=$SUDO_GID" --init-groups -- "$@"
setsid=$(command -v setsid || echo nohup)
$setsid "$@" >> log/current.log 2>&1 < /dev/null &
pid=$!
echo "$pid $(born "$pid") $release" > pid.new
mv -f pid.new pid
echo "started $release as $pid"
