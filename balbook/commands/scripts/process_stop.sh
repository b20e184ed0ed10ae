# process_stop INSTANCE WITHIN-S: SIGTERM, and after WITHIN-S seconds SIGKILL, to the process that INSTANCE/pid names.
set -eu
cd "$1" 2>/dev/null || exit 0
lives . || { rm -f pid; echo "nothing runs"; exit 0; }
kill -TERM "$pid" 2>/dev/null || true
kill -CONT "$pid" 2>/dev/null || true
tries=$(( $2 * 20 ))
while lives .; do
  if [ "$tries" -le 0 ]; then
    kill -KILL "$pid" 2>/dev/null || true
    echo "killed $pid after $2 s"
    sleep 0.1
    break
  fi
  tries=$((tries - 1))
  sleep 0.05
done
rm -f pid
echo "stopped $release"
