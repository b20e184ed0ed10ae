# in_directory DIRECTORY WITHIN-S COMMAND…: the command in that directory, bounded.
set -u
cd "$1" || exit 1
shift
bounded "$@"
