# bounded WITHIN-S COMMAND…: the command without an input; after WITHIN-S seconds its whole process group ends, status 124.
bounded() {
  within=$1 began=$(date +%s)
  shift
  timeout -k 10 "$within" "$@" < /dev/null
  status=$?
  # 137 before the time is over: something else killed the command, for want of memory perhaps.
  if [ $status -eq 124 ] || { [ $status -eq 137 ] && [ $(($(date +%s) - began)) -ge "$within" ]; }; then
    echo "the command did not end within $within s; its processes were ended" >&2
    status=124
  fi
  return $status
}
