# finish_release RELEASE [ACCOUNT]: the draft becomes the release, its REVISION (standard input) last. The files of its instances,
# which only their owner may read, become ACCOUNT's, or the login's where balbook's own supervision runs them.
set -eu
draft="$1.draft"
owner=${2:-${SUDO_USER:-}}
[ -z "$owner" ] || find "$draft" -mindepth 2 -type f -exec chown "$owner:" {} +
# REVISION repeats the configuration, so it is private, too.
( umask 077; cat > "$draft/REVISION" )
rm -rf "$1"
mv "$draft" "$1"
