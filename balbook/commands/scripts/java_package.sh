# java_package find|install NAME…: the first of these packages that the package manager offers. `find` prints it and changes nothing:
# exit 1 where it offers none, 3 where that is unknown yet, since no package list was ever fetched. `install` fetches the lists first.
set -u
action=$1
shift
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
if command -v apt-get >/dev/null 2>&1; then
  if [ "$action" = install ]; then apt-get update -q >/dev/null || exit 1; else apt-cache policy | grep -q ' Packages$' || exit 3; fi
  offers() { apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'; }
  get() { apt-get install -q -y --no-install-recommends "$1"; }
elif command -v dnf >/dev/null 2>&1; then
  [ "$action" = install ] || dnf -q -C list --available 'glibc*' >/dev/null 2>&1 || exit 3
  offers() { if [ "$action" = install ]; then dnf -q list "$1"; else dnf -q -C list "$1"; fi >/dev/null 2>&1; }
  get() { dnf install -q -y "$1"; }
else
  offers() { false; }
fi
for name in "$@"; do
  offers "$name" || continue
  [ "$action" = install ] || { echo "$name"; exit 0; }
  get "$name"
  exit
done
echo "this host's package manager offers none of: $*" >&2
exit 1
