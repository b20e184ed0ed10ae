# os_packages check|install NAME…: packages of the operating system; `check` exits 1 and names those that are missing.
set -eu
action=$1
shift
missing=
for name in "$@"; do
  if command -v dpkg-query >/dev/null 2>&1; then
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing="$missing $name"
  elif command -v rpm >/dev/null 2>&1; then
    rpm -q "$name" >/dev/null 2>&1 || missing="$missing $name"
  else
    missing="$missing $name"
  fi
done
[ -z "$missing" ] && exit 0
if [ "$action" = check ]; then
  echo "missing:$missing"
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if command -v apt-get >/dev/null 2>&1; then
  # Debian's own updates hold the lock for a while after a boot.
  wait='-o DPkg::Lock::Timeout=120'
  apt-get $wait update -q >/dev/null && apt-get $wait install -q -y --no-install-recommends $missing
elif command -v dnf >/dev/null 2>&1; then
  dnf install -q -y $missing
else
  echo "this host has neither apt-get nor dnf; install by hand:$missing" >&2
  exit 1
fi
