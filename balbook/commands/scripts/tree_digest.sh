# tree_digest DIRECTORY: sha256 over the sources of a Ballerina project, whatever was built of them. Changes nothing.
set -eu
cd "$1" 2>/dev/null || { echo none; exit 0; }
find . \( -name target -o -name generated -o -name .git -o -name '.balbook-*' \) -prune -o -type f -print0 |
  LC_ALL=C sort -z | xargs -0 -r sha256sum | sha256sum | cut -d' ' -f1
