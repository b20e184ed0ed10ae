# logs INSTANCE LINES: the last lines of an instance's log. Changes nothing.
set -eu
tail -n "$2" "$1/log/current.log"
