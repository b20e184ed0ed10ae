# has_java MAJOR: exit 0 where the runtime on the path is of this major version, or later.
set -u
found=$(java_version)
found=${found#1.}
found=${found%%[!0-9]*}
[ "${found:-0}" -ge "$1" ]
