# process_start INSTANCE PORT NOFILE: starts the release that INSTANCE/current points to, if nothing runs there.
set -eu
cd "$1"
if lives .; then
  echo "already runs as $pid"
  exit 0
fi
release_dir=$(cd current && pwd -P)
release=$(basename "$release_dir")
[ -r "$release_dir/$2/environment" ] || { echo "$release_dir/$2/environment cannot be read" >&2; exit 1; }
ulimit -n "$3" 2>/dev/null || ulimit -n "$(ulimit -Hn)"
mkdir -p log
# Only lines after this place in the log are of the new process.
{ wc -c < log/current.log; } > log/began 2>/dev/null || echo 0 > log/began
# Only the files need privilege; the instance itself runs as the login.
set -- "$release_dir" "$2" "$(command -v setsid || echo nohup)"
[ -z "${SUDO_UID:-}" ] || set -- "$@" setpriv "--reuid=$SUDO_UID" "--regid=$SUDO_GID" --init-groups --
become "$@" >> log/current.log 2>&1 < /dev/null &
pid=$!
echo "$pid $(born "$pid") $release" > pid.new
mv -f pid.new pid
echo "started $release as $pid"
