# finish_release RELEASE: the draft becomes the release, its REVISION (standard input) last.
set -eu
draft="$1.draft"
cat > "$draft/REVISION"
rm -rf "$1"
mv "$draft" "$1"
