# runs INSTANCE RELEASE: exit 0 where the instance's process runs that release; `-`: where nothing runs. Changes nothing.
set -u
lives "$1" || release=-
[ "$release" = "$2" ] || { echo "runs $release"; exit 1; }
