# begin_release RELEASE ARTIFACT NAME: an empty draft beside RELEASE, with the artifact linked into it as NAME.
set -eu
draft="$1.draft"
rm -rf "$draft"
mkdir -p "$draft"
# A full disk is not left full.
ln "$2" "$draft/$3" 2>/dev/null || cp "$2" "$draft/$3" || { rm -rf "$draft"; exit 1; }
