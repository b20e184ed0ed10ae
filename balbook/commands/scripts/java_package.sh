# java_package find|install NAME…: the first of these packages that the package manager offers. `find` prints it and changes nothing:
# exit 1 where it offers none, 3 where that is unknown yet, since no package list was ever fetched. `install` fetches the lists first.
set -u
action=$1
shift
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
if command -v apt-get >/dev/null 2>&1; then
  if [ "$action" = install ]; then
    apt-get update -q >/dev/null || exit 1
  else
    apt-cache policy | grep -q ' Packages$' || exit 3
  fi
  for name in "$@"; do
    apt-cache policy "$name" 2>/dev/null | grep -q '^  Candidate: [^(]' || continue
    [ "$action" = install ] || { echo "$name"; exit 0; }
    apt-get install -q -y --no-install-recommends "$name"
    exit
  done
elif command -v dnf >/dev/null 2>&1; then
  cached=
  if [ "$action" = find ]; then
    cached=-C
    dnf -q -C list --available 'glibc*' >/dev/null 2>&1 || exit 3
  fi
  for name in "$@"; do
    # shellcheck disable=SC2086
    dnf -q $cached list "$name" >/dev/null 2>&1 || continue
    [ "$action" = install ] || { echo "$name"; exit 0; }
    dnf install -q -y "$name"
    exit
  done
fi
echo "this host's package manager offers none of: $*" >&2
exit 1
