# in_directory DIRECTORY WITHIN-S COMMAND…: the command there; after WITHIN-S seconds its whole process group ends, status 124.
set -eu
cd "$1"
within=$2
shift 2
exec timeout -k 10 "$within" "$@"
